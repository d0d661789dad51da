"""Projects that nobody reviewed: no programs, no secrets, no network; and the environment of programs of the others."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from dbc_iac.manifest.program_environment import program_environment
from dbc_iac.manifest.secrets import SecretRef, SecretResolver
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


def test_an_untrusted_project_reaches_no_state_that_it_names(tmp_path: Path) -> None:
    made = project(tmp_path)
    made.write({"dbc-iac.yaml": PROJECT + "  state: {backend: http, address: 'http://127.0.0.1:1/x'}\n"})
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
