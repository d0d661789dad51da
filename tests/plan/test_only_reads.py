"""Planning and import only read: `tests/projects.py` watches each of their commands in all tests."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from dbc_iac.api.idempotency import CallClass, CallEvent
from tests.projects import check_reads

PACKAGE = Path(__file__).parents[2] / "dbc_iac"


def called(path: str, call_class: CallClass) -> CallEvent:
    return CallEvent("POST", path, "t", "default", call_class, 0.0, 1.0, "done")


@pytest.mark.parametrize("command", [("plan",), ("-e", "prod", "drift", "--json"), ("import", "Disk/a", "/data/a")])
def test_a_test_fails_if_a_planning_command_makes_a_call(command: tuple[str, ...]) -> None:
    reads = [called("/tasks", CallClass.READ), called("/mining_nodes/session_id", CallClass.IDEMPOTENT)]
    check_reads(command, reads)
    check_reads(("apply", "plan"), [called("/tasks/start", CallClass.KEYED)])
    for call_class in set(CallClass) - {CallClass.READ}:
        with pytest.raises(AssertionError):
            check_reads(command, [*reads, called("/tasks/modify/x", call_class)])


@pytest.mark.parametrize("package", ["plan", "importing"])
def test_planning_and_import_let_no_goal_act(package: str) -> None:
    for file in (PACKAGE / package).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            names = {getattr(node, part, None) for part in ("attr", "id", "name")}
            assert not names & {"act", "ActContext"}, f"{file.name}:{getattr(node, 'lineno', 0)}"
