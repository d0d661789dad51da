"""docs/language.md: every example is a project that loads, validates and plans; its tables are complete."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import jsonschema
import pytest
import yaml
from pydantic.alias_generators import to_camel

from dbc_iac import Project
from dbc_iac.cli.app import App
from dbc_iac.cli.commands import dbc_iac
from dbc_iac.cli.runtime import CommandRuntime
from dbc_iac.diagnostics import DiagnosticError
from dbc_iac.manifest.project import ProjectSpec
from dbc_iac.operations.runtime import Runtime
from dbc_iac.plan import PlanOptions
from dbc_iac.plan.model import Change, Plan
from tests.projects import NODE, PROJECT, vm

PAGE = Path(__file__).parents[1] / "docs/language.md"
TEXT = PAGE.read_text(encoding="utf-8")
BLOCK = re.compile(r'^```yaml title="([^"]+)"\n(.*?)^```', re.MULTILINE | re.DOTALL)
ADDED = {"name", "id", "node", "labels", "changed", "rental"}
"""Fields of a change that only policies see."""


def sections() -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Title and titled blocks of each section that has any."""
    for part in TEXT.split("\n## ")[1:]:
        if blocks := BLOCK.findall(part):
            yield part.partition("\n")[0], blocks


def merged(base: Any, more: Any, depth: int = 3) -> Any:
    """A project file with the parts of another: fields of `spec`, and their entries."""
    if depth and isinstance(base, dict) and isinstance(more, dict):
        return {**base, **{key: merged(base.get(key), value, depth - 1) for key, value in more.items()}}
    return more


def write(directory: Path, blocks: list[tuple[str, str]]) -> None:
    """The project of a section: its blocks over a base with one Node, and a VM if it defines none of that name."""
    project = yaml.safe_load(PROJECT)
    del project["spec"]["variables"], project["spec"]["environments"]
    files = {"manifests/node.yaml": NODE}
    if "metadata: {name: trainer" not in "".join(text for _, text in blocks):
        files["manifests/trainer.yaml"] = vm(image="ubuntu.qcow2")
    for name, text in blocks:
        if name == "dbc-iac.yaml":
            project = merged(project, yaml.safe_load(text))
        else:
            files[name] = text
    files["dbc-iac.yaml"] = json.dumps(project)
    for name, text in files.items():
        (directory / name).parent.mkdir(exist_ok=True)
        (directory / name).write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    ("title", "blocks"), list(sections()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_each_example_is_a_project_that_plans(title: str, blocks: list[tuple[str, str]], tmp_path: Path) -> None:
    write(tmp_path, blocks)
    environment = "prod" if any(name == "env/prod.yaml" for name, _ in blocks) else ""
    runtime = Runtime(environ={"TRAINER_PASSWORD": "abcdefgh", "SEED": "0" * 64})
    project = Project.load(tmp_path, environment=environment, runtime=runtime)
    project.check().raise_errors()
    plan = project.plan(PlanOptions(offline=True))
    assert plan.pending
    assert {d.code for d in plan.diagnostics if d.severity.value == "error"} <= {"policy-denied"}


def rows(name: str) -> set[str]:
    """Fields of `name` in the first columns of the tables."""
    cells = (line.split("|")[1] for line in TEXT.splitlines() if line.startswith("| `"))
    return {field for cell in cells for field in re.findall(rf"`{name}\.(\w+)`", cell)}


def test_the_tables_name_all_that_a_policy_sees() -> None:
    assert rows("change") == set(map(to_camel, Change.__struct_fields__)) | ADDED
    assert rows("plan") == set(map(to_camel, Plan.__struct_fields__)) | {"digest"}


def test_the_table_of_the_project_file_names_every_field() -> None:
    table = TEXT.partition("| field of `spec` |")[2].partition("\n\n")[0]
    named = set(re.findall(r"`(\w+)`", "\n".join(line.split("|")[1] for line in table.splitlines()[2:])))
    assert named == {field.alias or name for name, field in ProjectSpec.model_fields.items()}


LINES = [
    (page.name, line.strip())
    for page in sorted(PAGE.parent.glob("*.md"))
    if page.name in {"cookbook.md", "language.md", "coming-from-terraform.md", "coming-from-kubectl.md"}
    for line in [
        *re.findall(r"^    dbc-iac .*$", page.read_text(), re.MULTILINE),
        *re.findall(r"`(dbc-iac [^`]+)`", page.read_text()),
    ]
]


def test_each_command_of_the_pages_can_be_parsed() -> None:
    refused = [(page, line) for page, line in LINES if not parses(line)]
    assert len(LINES) > 70
    assert not refused


def parses(line: str) -> bool:
    """Whether the command line accepts the words, options and their values."""
    command: click.Command = dbc_iac
    words = shlex.split(line)[1:]
    try:
        context = dbc_iac.make_context("dbc-iac", words, obj=App(CommandRuntime()))
        while isinstance(command, click.Group):
            rest = [*context._protected_args, *context.args]
            _, command, words = command.resolve_command(context, rest)  # type: ignore[assignment]
            context = command.make_context(rest[0], words, parent=context)
    except (click.ClickException, DiagnosticError):
        return False
    return True


def test_the_documents_of_the_cookbook_are_valid() -> None:
    page = (PAGE.parent / "cookbook.md").read_text()
    assert re.findall(r"^## (\d+)\. ", page, re.MULTILINE) == [str(n) for n in range(1, 21)]
    schema = json.loads((PAGE.parents[1] / "specs/manifest.schema.json").read_text())
    validator = jsonschema.Draft202012Validator(schema)
    found = [d for text in re.findall("^```yaml\n(.*?)^```", page, re.M | re.S) for d in yaml.safe_load_all(text)]
    assert [d for d in found if "apiVersion" in d and not validator.is_valid(d)] == []
