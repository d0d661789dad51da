"""Logs are silent by default, name requests without their bodies, and hold no secret; DBC_IAC_DEBUG shows tracebacks."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dbc_iac.emulator import FaultSpec
from dbc_iac.kinds.virtual_machine.creation import VmExists
from tests.projects import Emulated, project, vm

CANARY = "canary-of-a-password"
LOGIN: dict[str, Any] = {"login": {"username": "alice", "password": {"env": "PW"}}}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Callable[..., Emulated]]:
    made: list[Emulated] = []

    def build(**environ: str) -> Emulated:
        made.append(Emulated(project(tmp_path, vm(**LOGIN), environ={"PW": CANARY, **environ})))
        return made[-1]

    yield build
    for one in made:
        one.close()


def test_logs_are_silent_by_default(world: Callable[..., Emulated]) -> None:
    assert world().run("plan").err == ""


@pytest.mark.parametrize(("arguments", "environ"), [(["-vv"], {}), ([], {"DBC_IAC_LOG": "debug"})])
def test_debug_logs_name_each_request_and_no_body(
    world: Callable[..., Emulated], arguments: list[str], environ: dict[str, str]
) -> None:
    result = world(**environ).run(*arguments, "apply", "--yes")
    lines = [line for line in result.err.splitlines() if " DEBUG dbc_iac.api: POST /" in line]
    [created] = [line for line in lines if "/tasks/start" in line or "/tasks/create" in line]
    assert "target=58fb618a client=default done" in created
    assert created.endswith(" ms")
    assert CANARY not in result.err
    assert "session" not in "".join(line.partition("POST")[2].replace("session_id", "") for line in lines)


def test_one_v_logs_decisions_and_no_request(world: Callable[..., Emulated]) -> None:
    result = world().run("-v", "plan")
    assert "INFO dbc_iac.plan: VirtualMachine/trainer: create" in result.err
    assert "dbc_iac.api" not in result.err


def test_the_option_wins_over_the_environment(world: Callable[..., Emulated]) -> None:
    assert "dbc_iac.api" not in world(DBC_IAC_LOG="debug").run("-v", "plan").err


def test_an_unknown_level_is_refused(world: Callable[..., Emulated]) -> None:
    result = world(DBC_IAC_LOG="loud").run("plan")
    assert (result.code, "invalid DBC_IAC_LOG: loud" in result.err) == (3, True)


def test_secrets_that_a_node_says_back_are_not_logged(world: Callable[..., Emulated]) -> None:
    emulated = world()
    emulated.network.faults.add(FaultSpec(op="tasks.create", kind="refuse", text=f"no {CANARY}", times=9))
    result = emulated.run("-vv", "apply", "--yes")
    assert "no ***" in result.err
    assert CANARY not in result.err


def test_the_level_of_one_command_does_not_outlive_it(world: Callable[..., Emulated]) -> None:
    emulated = world()
    emulated.run("-vv", "plan")
    assert emulated.run("plan").err == ""
    assert [type(handler) for handler in logging.getLogger("dbc_iac").handlers] == [logging.NullHandler]


@pytest.mark.parametrize("debug", [True, False])
def test_a_bug_in_a_goal_has_a_traceback_with_debug_only(
    world: Callable[..., Emulated], monkeypatch: pytest.MonkeyPatch, debug: bool
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError(f"broken {CANARY}")

    monkeypatch.setattr(VmExists, "look", broken)
    result = world(**({"DBC_IAC_DEBUG": "1"} if debug else {})).run("apply", "--yes")
    assert result.code == 70
    assert ("RuntimeError: broken ***" in result.err, "Traceback" in result.err) == (debug, debug)
    assert CANARY not in result.err
    assert "dbc_iac.api" not in result.err


@pytest.mark.parametrize("debug", [True, False])
def test_a_bug_in_a_command_has_a_traceback_with_debug_only(
    world: Callable[..., Emulated], monkeypatch: pytest.MonkeyPatch, debug: bool
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr("dbc_iac.cli.commands.plan.plan_now", broken)
    result = world(**({"DBC_IAC_DEBUG": "1"} if debug else {})).run("plan")
    assert (result.code, "RuntimeError: broken" in result.err) == (70, debug)
