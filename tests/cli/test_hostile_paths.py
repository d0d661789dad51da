"""Every file and folder of the command line, and every JSON file: hostile ones end with a problem, never as a bug."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from dbc_iac.cli.commands import dbc_iac
from dbc_iac.diagnostics import DiagnosticError
from dbc_iac.files.outputs import write_new_files
from tests.examples import examples
from tests.projects import PROJECT, SEED, Emulated, project, vm

pytestmark = pytest.mark.hostile_summaries  # values of any length and form are printed

NEEDED = {
    "apply": ["--yes"],
    "destroy": ["--yes"],
    "import": ["--all"],
    "api": ["/peers/gpu"],
    "comment": [],
    "wallet sign": ["--seed-env", "SEED"],
    "schema": [],
    "emulator": ["--world", "w.yaml", "--listen", "nowhere"],
}
"""Arguments beside the file, by command."""


def file_parameters(group: click.Group, words: tuple[str, ...] = ()) -> Iterator[tuple[list[str], str]]:
    """Each command with each of its files: the words before it, the command with the name of the parameter."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        path = (*words, name)
        if isinstance(command, click.Group):
            yield from file_parameters(command, path)
            continue
        for parameter in command.params:
            if getattr(parameter, "hidden", False):  # an option of all commands
                continue
            metavar = getattr(parameter, "metavar", None) or ""
            if not isinstance(parameter.type, click.Path) and metavar not in {"FILE", "FILE|-", "FROM"}:
                continue
            option = parameter.opts[0] if isinstance(parameter, click.Option) else ""
            needed = [*NEEDED.get(" ".join(path), []), *([option] if option else [])]
            yield [*path, *needed], f"{' '.join(path)} {option or parameter.name}"


PARAMETERS = sorted({shown: words for words, shown in file_parameters(dbc_iac)}.items())
HOSTILE = ["deep.json", "deep.yaml", "ring", "folder", "dbc-iac.yaml/below", "none/below", "binary", "empty",
           "long" * 100, "/proc/none", "sur\udcffrogate/below", "nul.json", "list.json"]  # fmt: skip
SHARED = {"-C", "--var-file"}
"""Options of every command, which one function reads."""
EVERY = examples(suite=3, proof=1)
"""One in so many files is tried in each place, another one in the next place; `make prove` tries each in each."""


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulated]:
    monkeypatch.chdir(tmp_path)
    emulated = Emulated(project(tmp_path, vm()))
    emulated.project.environ.update({"GITHUB_ACTIONS": "1", "GITHUB_TOKEN": "t", "GITHUB_REPOSITORY": "o/r"})
    emulated.project.write(
        {
            "deep.json": '{"changes": ' + "[" * 50_000,
            "deep.yaml": "a: " + "[" * 5000,
            "empty": "",
            "nul.json": "\0",
            "w.yaml": "{}",
            "date.yaml": "a: 2020-13-45\n",
            "list.json": "[" * 90 + "]" * 90,
        }
    )
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00" * 9)
    (tmp_path / "ring").symlink_to("ring")
    (tmp_path / "folder").mkdir()
    yield emulated
    emulated.close()


def test_the_files_of_the_command_line_are_found() -> None:
    shown = [name for name, _ in PARAMETERS]
    assert len(shown) > 30
    assert {"plan -o", "apply --events", "api -f", "state migrate source", "validate files", "wallet new --out"} <= {
        *shown
    }


@pytest.mark.parametrize("place", range(len(PARAMETERS)), ids=[name for name, _ in PARAMETERS])
def test_no_file_of_the_command_line_ends_as_a_bug(lab: Emulated, place: int) -> None:
    _, words = PARAMETERS[place]
    every = examples(suite=len(HOSTILE), proof=1) if words[-1] in SHARED else EVERY
    for value in HOSTILE[place % every :: every]:
        given = [value, "project"] if words == ["state", "migrate"] else [value]
        result = lab.run(*words, *given)
        assert result.code != 70, (words, value, result.err)
        assert "Traceback" not in result.err
        if words == ["fmt"]:
            assert lab.run(*words, "--of-projects", *given).code != 70


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_project_directory_is_a_problem(lab: Emulated, name: str) -> None:
    for command in (["validate"], ["plan"], ["fmt"], ["state", "list"]):
        result = lab.run("-C", name, *command)
        assert result.code in {1, 3}, (command, result.err)


@pytest.mark.parametrize("value", ["1A=", "a b", "sur\udcffrogate", "\x1b[31m", "NONE"])
def test_a_hostile_name_of_a_variable_is_a_problem(lab: Emulated, value: str) -> None:
    assert lab.run("apply", "--yes").code == 0
    for words in (["wallet", "address", "--seed-env"], ["vm", "passwd", "trainer", "--yes", "--password-env"]):
        result = lab.run(*words, value, "--json")
        assert (result.code, result.codes) == (3, ["secret-missing"]), result.err


def test_a_key_of_the_command_line_may_come_from_a_pipe(lab: Emulated) -> None:
    reading, writing = os.pipe()
    os.write(writing, f"{SEED}\n".encode())
    os.close(writing)
    try:
        assert lab.run("wallet", "address", "--seed-file", f"/dev/fd/{reading}").code == 0
    finally:
        os.close(reading)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_variable_file_is_a_problem(lab: Emulated, name: str) -> None:
    assert lab.run("--var-file", name, "validate").code == (0 if name == "empty" else 3)


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


DEEP = {"past the parser": nested(100_000), "past the limit": nested(500)}


@pytest.mark.parametrize("deep", DEEP.values(), ids=DEEP.keys())
@pytest.mark.parametrize("form", ["{}", '{{"formatVersion": 1, "a": {}}}', '{{"dbcIacSealed": 1, "a": {}}}'])
@pytest.mark.parametrize("name", ["main.json", "main.journal.jsonl", "main.lock"])
def test_a_deeply_nested_file_of_the_state_is_a_problem(lab: Emulated, name: str, form: str, deep: str) -> None:
    if name == "main.journal.jsonl":
        assert lab.run("apply", "--yes").code == 0
    (lab.project.directory / "state").mkdir(exist_ok=True)
    (lab.project.directory / "state" / name).write_text(form.format(deep) + "\n")
    for command in (["plan"], ["state", "list"], ["state", "pull"], ["show"], ["stack", "list"]):
        result = lab.run(*command)
        assert result.code != 70, (command, result.err)
        assert result.code != 0 or name == "main.lock" or command == ["stack", "list"], command


@pytest.mark.parametrize("deep", DEEP.values(), ids=DEEP.keys())
def test_a_deeply_nested_plan_copy_or_body_is_a_problem(lab: Emulated, deep: str) -> None:
    forms = {
        "bare": "{}",
        "plan": '{{"formatVersion": 1, "changes": {}}}',
        "copy": '{{"formatVersion": 1, "state": {}}}',
        "signed": '{{"dbcIacSignedPlan": 1, "key": {}}}\n{{}}',
        "sealed": '{{"dbcIacSealed": 1, "keys": {}}}',
        "body": '{{"additional": {}}}',
    }
    for name, text in forms.items():
        Path(name).write_text(text.format(deep))
        for command in (["show"], ["apply"], ["graph"], ["state", "push"], ["api", "/peers/gpu", "-f"]):
            result = lab.run(*command, name)
            assert result.code not in {0, 70}, (command, name, result.err)


@pytest.mark.parametrize("deep", DEEP.values(), ids=DEEP.keys())
def test_a_deeply_nested_keystore_signature_or_event_is_a_problem(lab: Emulated, deep: str) -> None:
    Path("keys.json").write_text(deep)
    Path("plan.md").write_text("x")
    wallet = "{wallet: {keystore: {file: keys.json, password: {env: SEED}}}}"
    lab.project.write({"dbc-iac.yaml": PROJECT.replace("{wallet: {seed: {env: SEED}}}", wallet)})
    assert lab.run("plan", "--json").codes == ["identity"]
    assert lab.run("wallet", "sign", "--with", "keys.json", "--json").codes == ["key-material"]
    lab.project.environ["GITHUB_EVENT_PATH"] = "keys.json"
    assert lab.run("comment", "plan.md", "--json").codes == ["no-ci"]


def test_files_of_signatures_that_the_project_names_lie_inside(
    lab: Emulated, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside") / "signs.json"
    outside.write_text(json.dumps([{"wallet": "canary-of-a-line", "nonce": "1", "sign": "2"}]))
    member = "5F4H97f7nQovyrbiq4ZetaaviNwThSVcFobcA5aGab6167dK"
    multisig = f"{{multisig: {{wallets: [{member}], threshold: 1, signs: {{file: '{outside}'}}}}, address: {member}}}"
    lab.project.write({"dbc-iac.yaml": PROJECT.replace("{wallet: {seed: {env: SEED}}}", multisig)})
    result = lab.run("plan", "--json")
    assert (result.codes, "outside the project" in result.err) == (["identity"], True)
    assert "canary" not in result.err


@pytest.mark.parametrize("name", ["/dev/zero", "/dev/stdin", "/proc/self/environ", "pipe", "link", "large"])
def test_a_secret_is_read_from_a_bounded_regular_file_only(lab: Emulated, name: str) -> None:
    os.mkfifo("pipe")
    Path("link").symlink_to("/dev/zero")
    Path("large").write_text("x" * (1024 * 1024 + 1))
    lab.project.write({"dbc-iac.yaml": PROJECT.replace("{env: SEED}", f"{{file: {name}}}")})
    result = lab.run("plan", "--json")
    assert (result.code, result.codes) == (3, ["secret-missing"])


def test_a_secret_may_lie_outside_the_project(lab: Emulated, tmp_path_factory: pytest.TempPathFactory) -> None:
    seed = tmp_path_factory.mktemp("outside") / "seed"
    seed.write_text(f"{SEED}\n")
    lab.project.write({"dbc-iac.yaml": PROJECT.replace("{env: SEED}", f"{{file: {seed}}}")})
    assert lab.run("plan").code == 0


def test_init_writes_through_no_link(tmp_path: Path) -> None:
    made = project(tmp_path / "lab")
    (tmp_path / "lab/dbc-iac.yaml").unlink()
    (tmp_path / "lab/manifests/all.yaml").unlink()
    (tmp_path / "outside").mkdir()
    (tmp_path / "lab/specs").symlink_to(tmp_path / "outside")
    assert made.run("init", "--json").codes == ["outside-project"]
    assert [*(tmp_path / "outside").iterdir()] == []
    assert not (tmp_path / "lab/dbc-iac.yaml").exists()
    (tmp_path / "lab/specs").unlink()
    (tmp_path / "lab/dbc-iac.yaml").symlink_to(tmp_path / "outside/none")
    assert made.run("init", "--json").codes == ["project-exists"]
    assert [*(tmp_path / "outside").iterdir()] == []


def test_new_files_are_written_all_or_none(tmp_path: Path) -> None:
    files = {tmp_path / "new" / name: "x" for name in ("a", "b", "c" * 300)}
    with pytest.raises(DiagnosticError) as caught:
        write_new_files(files, tmp_path)
    assert [d.code for d in caught.value.diagnostics] == ["unwritable-file"]
    assert [*(tmp_path / "new").iterdir()] == []
