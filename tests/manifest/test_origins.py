"""One cause, one message: a mistake is reported where the value was written, with the number of resources it reaches."""

from __future__ import annotations

import sys
from pathlib import Path
from types import FrameType

import pytest

import dbc_iac
from dbc_iac.diagnostics import Diagnostic, DiagnosticError
from dbc_iac.kinds import MODELS
from dbc_iac.manifest.load import load_project
from tests.projects import PROJECT, project, vm

PACKAGE = str(Path(dbc_iac.__file__).parent)
MEMORY = "memory: expected a size with a unit, such as 200Gi or 2Ti"
VARIABLES = PROJECT.replace("team: {default: vision}", "memory: {default: 8Gi}\n    keys: {type: map, default: {}}")


def problems(
    directory: Path, *documents: str, variables: str = "", given: dict[str, str] | None = None
) -> list[Diagnostic]:
    """Problems of a project; `variables`: the content of the variable file of `-e prod`."""
    project(directory, *documents).write({"dbc-iac.yaml": VARIABLES, "prod.yaml": variables})
    try:
        loaded = load_project(
            directory,
            environment="prod",
            variables=given or {},
            variable_files=[],
            environ={},
            models=MODELS,
            sources={},
        )
    except DiagnosticError as error:
        return list(error.diagnostics)
    return list(loaded.diagnostics)


def instances(keys: str, **changed: object) -> str:
    """A VirtualMachine with a `forEach`, in block style, so that each key has a line of its own."""
    return vm("w", **changed).rstrip()[:-1] + f', "forEach": {keys}}}\n'


def test_a_misspelled_field_under_for_each_is_reported_once(tmp_path: Path) -> None:
    keys = str([f"k{n}" for n in range(1000)])
    [found] = problems(tmp_path, instances(keys, memroy="8Gi", memory=None))
    assert (found.summary, found.address) == ("unknown field memroy", "VirtualMachine/w")
    assert found.detail == "In 1,000 instances of VirtualMachine/w."
    assert found.remedy == "Did you mean memory?"


@pytest.mark.parametrize("text", ["{{ var.memroy }}", "x{{ var.memroy }}"])
def test_a_mistake_in_an_expression_is_reported_once(text: str, tmp_path: Path) -> None:
    [found] = problems(tmp_path, instances("[a, b, c]", memory=text))
    assert found.summary == "cannot render the template: memroy is not defined"
    assert found.detail == "In 3 instances of VirtualMachine/w."


def test_an_invalid_value_is_reported_at_its_variable(tmp_path: Path) -> None:
    [found] = problems(
        tmp_path,
        instances("[a, b]", memory="{{ var.memory }}"),
        vm("other", memory="{{ var.memory }}"),
        variables="# prod\nmemory: 16GB\n",
    )
    assert found.summary == MEMORY
    assert found.source is not None
    assert (Path(found.source.file).name, found.source.line) == ("prod.yaml", 2)
    assert found.detail == (
        f"The value is 16GB, from var.memory ({tmp_path}/prod.yaml:2). "
        "In VirtualMachine/w.a, VirtualMachine/w.b, VirtualMachine/other."
    )
    assert [r.message for r in found.related] == ["used here"]


def test_an_invalid_value_of_the_command_line_is_shown(tmp_path: Path) -> None:
    [found] = problems(tmp_path, vm(memory="{{ var.memory }}"), given={"memory": "16GB"})
    assert found.source is not None
    assert Path(found.source.file).name == "all.yaml"
    assert found.detail == "The value is 16GB, from var.memory, set by --var memory."


def test_a_part_of_a_variable_names_the_variable(tmp_path: Path) -> None:
    [found] = problems(tmp_path, vm(dataDisk="{{ var.keys }}"), variables="keys: {size: 8GB}\n")
    assert (found.summary.partition(":")[0], found.source and found.source.line) == ("dataDisk.size", 1)
    assert "var.keys" in found.detail


def test_uses_of_an_invalid_variable_are_not_reported(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        vm("one", gpus="{{ var.count }}", cpus="{{ var.count * 2 }}"),
        vm("two", gpus="{{ var['count'] }}", memroy="8Gi", memory=None),
        instances("{{ range(var.count) | list }}").replace("{{ range", '"{{ range').replace("list }}", 'list }}"'),
        variables="count: many\n",
    )
    assert [d.summary for d in found] == ["variable count: expected type integer", "unknown field memroy"]


def test_one_wrong_value_of_many_keys_is_reported_at_the_key(tmp_path: Path) -> None:
    [found] = problems(tmp_path, instances("{a: 8Gi, b: 9GB, c: 7Gi}", memory="{{ each.value }}"))
    assert found.address == "VirtualMachine/w.b"
    assert "The value is 9GB, from each.value" in found.detail
    [listed] = problems(tmp_path, instances("[8, x9]", memory="{{ each.key }}Gi"))
    assert listed.address == "VirtualMachine/w.x9"
    assert "from each.key" in listed.detail


def test_a_mistake_that_every_key_has_is_reported_at_the_template(tmp_path: Path) -> None:
    [found] = problems(tmp_path, instances("{a: 8, b: 9, c: 7}", memory="{{ each.value }}GB"))
    assert found.detail == "Every key of `forEach` gives such a value. In 3 instances of VirtualMachine/w."
    assert found.related == ()


def test_a_literal_secret_of_a_variable_is_not_shown(tmp_path: Path) -> None:
    [found] = problems(tmp_path, vm(login={"password": "{{ var.memory }}"}), variables="memory: hunter2hunter2\n")
    assert found.code == "literal-secret"
    assert "hunter2" not in found.summary + found.detail + found.remedy


@pytest.mark.parametrize("each", [False, True])
def test_the_work_for_the_problems_of_many_documents_is_linear(tmp_path: Path, each: bool) -> None:
    def calls(count: int) -> int:
        """Calls of functions of the package, and items of its generators, for documents with a problem each."""
        named = [vm(f"v{n}", memory="{{ each.value }}" if each else "lots").rstrip()[:-1] for n in range(count)]
        documents = [one + ', "forEach": {"a": "lots", "b": "lots"}}\n' if each else one + "}\n" for one in named]
        made = 0

        def counted(frame: FrameType, event: str, _: object) -> None:
            nonlocal made
            made += event == "call" and frame.f_code.co_filename.startswith(PACKAGE)

        sys.setprofile(counted)
        try:
            found = problems(tmp_path, *documents)
        finally:
            sys.setprofile(None)
        assert len(found) == count
        return made

    calls(1)  # what is computed once
    few, some, many = calls(20), calls(40), calls(60)
    assert many - some < 1.1 * (some - few)
