"""Standard output that cannot carry every character, or has no room: a text with escapes or a problem, never a bug."""

from __future__ import annotations

import io
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_output_gone import COMMAND
from tests.projects import Emulated, project, vm

DESCRIPTION = "Prüfstand \U0001f600"
PORTS = {"ssh": 20100, "vnc": 20101}


class Ascii(io.StringIO):
    """A strict stream of ASCII, as a locale without UTF-8 gives."""

    encoding = "ascii"

    def write(self, text: str) -> int:
        text.encode("ascii")
        return super().write(text)


def described(name: str, ports: dict[str, int]) -> str:
    return vm(name, gpus=0, description="DESCRIPTION", ports=ports).replace("DESCRIPTION", DESCRIPTION)


@pytest.fixture
def applied(tmp_path: Path) -> Any:
    documents = [described("trainer", PORTS), described("second", {"ssh": 20200, "vnc": 20201})]
    emulated = Emulated(project(tmp_path, documents[0]))
    assert emulated.run("apply", "--yes").code == 0
    project(tmp_path, *documents, environ=emulated.project.environ)
    yield emulated
    emulated.close()


COMMANDS = [
    ["plan"],
    ["show", "plan.json"],
    ["show"],
    ["state", "show", "VirtualMachine/trainer"],
    ["vm", "show", "trainer"],
    ["apply", "--yes"],
    ["graph"],
]


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["text", "json"])
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_characters_that_standard_output_lacks_are_escaped(
    applied: Emulated, command: list[str], form: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(applied.project.directory)
    assert applied.run("plan", "-o", "plan.json").code == 0
    out, err = Ascii(), Ascii()
    full = applied.run(*command, *(form if command != ["graph"] else []), out=out, err=err)
    assert full.code == 0, full.err
    if form and command != ["graph"]:
        assert DESCRIPTION in json.dumps(json.loads(full.out), ensure_ascii=False)
    elif command[0] in {"plan", "apply"}:
        assert "Pr\\u00fcfstand \\ud83d\\ude00" in full.out


def test_events_on_an_ascii_stream_are_whole(applied: Emulated) -> None:
    out = Ascii()
    result = applied.run("apply", "--yes", "--events", "-", out=out, err=Ascii())
    assert result.code == 0
    assert [json.loads(line) for line in result.out.splitlines()][-1]["event"] == "end"


def test_a_question_to_the_api_whose_answer_is_not_ascii(applied: Emulated) -> None:
    [task_id] = applied.vms
    result = applied.run("api", f"/tasks/{task_id}", "--node", "gpu-a", out=Ascii(), err=Ascii())
    assert result.code == 0, result.err
    assert "Pr\\u00fcfstand" in result.out


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["plan", "--help"], ["completion", "bash"]], ids=" ".join)
def test_a_help_text_without_room_is_a_problem_of_the_place(words: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        child = subprocess.run([*COMMAND, *words], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert child.returncode == 1
    assert "cannot write standard output (No space left on device)" in child.stderr


def test_a_process_with_an_encoding_of_few_letters_shows_the_state(applied: Emulated) -> None:
    command = [*COMMAND, "-C", str(applied.project.directory), "state", "show", "VirtualMachine/trainer"]
    environ = {**applied.project.environ, "PATH": "/usr/bin:/bin", "LC_ALL": "C", "PYTHONUTF8": "0"}
    child = subprocess.run(
        command, env={**environ, "PYTHONIOENCODING": "ascii"}, capture_output=True, text=True, check=False
    )
    assert (child.returncode, child.stderr) == (0, "")
    assert "Pr\\u00fcfstand" in child.stdout
