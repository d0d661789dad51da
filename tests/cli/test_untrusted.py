"""Projects that nobody reviewed: no programs, no secrets, no network; and the environment of programs of the others."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from dbc_iac.cli.command_examples import EXAMPLES
from dbc_iac.manifest.secrets import SecretRef, SecretResolver
from dbc_iac.manifest.trust import program_environment
from tests.projects import PROJECT, SEED, Emulated, project, vm

MARK = {"exec": [sys.executable, "-c", "open('ran', 'w'); print('x')"]}


@pytest.fixture
def hostile(tmp_path: Path) -> Emulated:
    made = Emulated(project(tmp_path, vm(login={"password": MARK})))
    made.project.write({"dbc-iac.yaml": PROJECT.replace("{env: SEED}", str(MARK))})
    return made


@pytest.mark.parametrize("command", [("plan",), ("apply", "--yes"), ("drift",), ("vm", "list"), ("destroy", "--yes")])
@pytest.mark.parametrize("how", ["option", "variable"])
def test_an_untrusted_project_runs_nothing_and_reaches_nobody(
    hostile: Emulated, command: tuple[str, ...], how: str
) -> None:
    if how == "variable":
        hostile.project.environ["DBC_IAC_UNTRUSTED"] = "1"
    result = hostile.run(*(("--no-exec",) if how == "option" else ()), *command)
    assert (result.code, "error[untrusted]" in result.err) == (5, True), result.err
    assert not (hostile.project.directory / "ran").exists()
    hostile.close()


def test_an_untrusted_project_is_validated_and_planned_from_its_state(hostile: Emulated) -> None:
    assert hostile.run("--no-exec", "validate").code == 0
    assert hostile.run("--no-exec", "plan", "--refresh=false").code == 0
    assert not (hostile.project.directory / "ran").exists()
    hostile.close()


@pytest.mark.parametrize("where", [{"env": "SEED"}, {"file": "dbc-iac.yaml"}, MARK])
def test_an_untrusted_project_reads_no_secret(where: dict[str, Any], tmp_path: Path) -> None:
    from dbc_iac.diagnostics import DiagnosticError

    resolver = SecretResolver({"DBC_IAC_UNTRUSTED": "1", "SEED": SEED}, tmp_path)
    with pytest.raises(DiagnosticError, match="untrusted project may not"):
        resolver.resolve(SecretRef.model_validate(where))


REACHED: list[str] = []
"""Programs and connections since a test began, as Python's audit events."""


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if event in {"socket.connect", "socket.getaddrinfo", "os.exec", "os.posix_spawn", "os.system"}:
        REACHED.append(f"{event} {arguments}")
    elif event == "subprocess.Popen" and "template_worker" not in str(arguments):
        REACHED.append(f"{event} {arguments[1]}")


@pytest.fixture(scope="module")
def audited() -> Iterator[list[str]]:
    if not getattr(sys, "_dbc_iac_audited", False):  # a hook cannot be removed
        import_module("croniter")  # it asks `file` about the program of Python, where there is one
        sys.addaudithook(_audit)
        sys._dbc_iac_audited = True  # type: ignore[attr-defined]
    yield REACHED


LINES = [line for path, lines in EXAMPLES.items() if path not in {"completion", "demo", "emulator"} for line in lines]


@pytest.mark.parametrize("line", LINES)
def test_no_command_reaches_out_of_an_untrusted_project(line: str, tmp_path: Path, audited: list[str]) -> None:
    ci = {
        "GITHUB_ACTIONS": "1",
        "GITHUB_TOKEN": "t",
        "GITHUB_REPOSITORY": "o/r",
        "GITHUB_API_URL": "http://127.0.0.1:1",
    }
    where = tmp_path / "project"
    environ = {"SEED": SEED, "DBC_IAC_UNTRUSTED": "1", "GITHUB_EVENT_PATH": str(where / "event.json"), **ci}
    made = project(where, vm(login={"password": MARK}), environ=environ)
    state = "{backend: http, address: 'http://127.0.0.1:1/x', headers: {X-Key: " + str(MARK) + "}}"
    encryption = "{passphrase: " + str(MARK) + "}"
    made.write(
        {
            "dbc-iac.yaml": f"{PROJECT}  state: {state}\n  encryption: {encryption}\n  outputs: {{address: '{{{{ env }}}}'}}\n",
            "event.json": '{"pull_request": {"number": 1}}',
            "plan.md": "plan",
            "prod.yaml": "{}",
        }
    )
    words = shlex.split(line.partition(" | ")[0].partition(" > ")[0].replace("-C infra ", "").replace("~", "home"))
    before = os.getcwd()  # noqa: PTH109
    os.chdir(where)
    audited.clear()
    try:
        result = made.run(*words)
        assert audited == []
    finally:
        os.chdir(before)
    assert result.code != 70, result.err
    assert not (where / "ran").exists()


@pytest.mark.parametrize("path", ["{outside}", "../outside"])
@pytest.mark.parametrize("command", [("plan", "--refresh=false"), ("state", "list"), ("state", "pull")])
def test_an_untrusted_project_keeps_no_state_outside(path: str, command: tuple[str, ...], tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    made = project(tmp_path / "project", vm())
    made.write({"dbc-iac.yaml": PROJECT + f"  state: {{path: '{path.format(outside=outside)}'}}\n"})
    result = made.run("--no-exec", *command, "--json")
    assert (result.code, result.codes) == (5, ["untrusted"])
    assert not outside.exists()
    assert made.run("state", "list").code == 0


def test_an_untrusted_project_opens_no_keystore(tmp_path: Path) -> None:
    made = project(tmp_path, vm(), environ={"SEED": SEED})
    keystore = "keystore: {file: none.json, password: {env: SEED}}"
    made.write({"dbc-iac.yaml": PROJECT.replace("seed: {env: SEED}", keystore)})
    assert made.run("wallet", "address", "--json").codes == ["identity"]
    assert made.run("--no-exec", "wallet", "address", "--json").codes == ["untrusted"]


def test_an_untrusted_project_writes_no_comment(tmp_path: Path) -> None:
    made = project(tmp_path, environ={"GITHUB_ACTIONS": "1"}).write({"plan.md": "plan"})
    result = made.run("--no-exec", "comment", str(tmp_path / "plan.md"), "--json")
    assert (result.code, result.codes) == (5, ["untrusted"])


REMOTE = [
    "{backend: http, address: 'http://127.0.0.1:1/x'}",
    "{backend: postgres, address: 'postgresql://127.0.0.1:1/x'}",
    "{backend: objectstore, address: 's3://x/y', endpoint: 'http://127.0.0.1:1'}",
]


@pytest.mark.parametrize("state", REMOTE)
def test_an_untrusted_project_reaches_no_state_that_it_names(tmp_path: Path, state: str) -> None:
    made = project(tmp_path)
    made.write({"dbc-iac.yaml": PROJECT + f"  state: {state}\n"})
    result = made.run("--no-exec", "plan", "--refresh=false", "--json")
    assert (result.code, result.codes) == (5, ["untrusted"])


def test_programs_get_path_home_lang_and_what_is_named() -> None:
    environ = {"PATH": "p", "HOME": "h", "LANG": "C", "SEED": SEED, "A": "1", "B": "2", "DBC_IAC_PASS_ENV": "A, B,C"}
    assert program_environment(environ) == {"PATH": "p", "HOME": "h", "LANG": "C", "A": "1", "B": "2"}


def test_a_program_that_prints_a_secret_does_not_see_others(tmp_path: Path) -> None:
    code = "import os; print('SEED' in os.environ, os.environ['NAMED'])"
    environ = {**os.environ, "SEED": SEED, "NAMED": "yes", "DBC_IAC_PASS_ENV": "NAMED"}
    resolver = SecretResolver(environ, tmp_path)
    assert resolver.resolve(SecretRef.model_validate({"exec": [sys.executable, "-c", code]})).reveal() == "False yes"


def test_a_hook_does_not_see_secrets(tmp_path: Path) -> None:
    write = "import os; open('seen', 'w').write(' '.join(sorted(os.environ)))"
    hook: dict[str, Any] = {"beforeOffline": {"command": [sys.executable, "-c", write]}}
    emulated = Emulated(project(tmp_path, vm(lifecycle=hook), environ={"PATH": os.environ["PATH"]}))
    assert emulated.run("apply", "--yes").code == 0
    project(tmp_path, vm(memory="16Gi", lifecycle=hook), environ=emulated.project.environ)
    assert emulated.run("apply", "--yes").code == 0
    seen = (tmp_path / "seen").read_text().split()
    assert "PATH" in seen
    assert "SEED" not in seen
    emulated.close()
