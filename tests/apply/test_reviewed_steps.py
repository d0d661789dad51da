"""A plan file is run with the steps that were reviewed, or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dbc_iac.kinds.framework.goal import Needs
from dbc_iac.kinds.network import NetworkExists
from dbc_iac.kinds.virtual_machine.goals import VmPassword
from dbc_iac.plan.model import canonical_digest
from tests.projects import Emulated, document, project, vm

LOGIN = {"username": "dbc", "password": {"env": "PASSWORD"}}
LAN = document("Network", "training", {"via": "gpu-a", "cidr": "192.168.66.0/24"})


def planned(emulated: Emulated, *documents: str) -> Path:
    project(emulated.project.directory, *documents, environ=emulated.project.environ)
    file = emulated.project.directory.parent / "the.plan"
    assert emulated.run("plan", "-o", str(file)).code == 0
    return file


@pytest.fixture
def running(world: Callable[..., Emulated]) -> Emulated:
    """A VM that runs, with a password."""
    emulated = world(vm(login=LOGIN))
    emulated.project.environ |= {"PASSWORD": "long-enough-1", "OTHER": "long-enough-2"}
    assert emulated.run("apply", "--yes").code == 0
    return emulated


def test_an_offline_window_that_only_this_code_would_open_is_refused(
    running: Emulated, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = planned(running, vm(login={**LOGIN, "password": {"env": "OTHER"}}))
    monkeypatch.setattr(VmPassword, "needs", Needs.OFF)
    before = running.vms
    refused = running.run("apply", "--json", str(file))
    assert (refused.code, refused.codes, running.vms) == (5, ["plan-stale"], before)
    assert "VirtualMachine/trainer" in refused.err
    assert "powered off" in refused.err
    monkeypatch.undo()
    assert running.run("apply", str(file)).code == 0


def test_another_call_for_the_same_change_is_refused(
    world: Callable[..., Emulated], monkeypatch: pytest.MonkeyPatch
) -> None:
    emulated = world()
    file = planned(emulated, LAN)
    monkeypatch.setattr(NetworkExists, "action_text", "creating another LAN")
    refused = emulated.run("apply", "--json", str(file))
    assert (refused.code, refused.codes, emulated.left) == (5, ["plan-stale"], 0)
    [problem] = json.loads(refused.err)["diagnostics"]
    assert "creating another LAN" in problem["detail"]


@pytest.mark.parametrize("change", ["a step less", "a step more", "another order"])
def test_steps_of_the_file_that_this_code_does_not_compile_are_refused(
    world: Callable[..., Emulated], change: str
) -> None:
    emulated = world()
    file = planned(emulated, LAN, vm(network="training"))
    plan: dict[str, Any] = json.loads(file.read_text())
    steps = plan["steps"]
    match change:
        case "a step less":
            steps.pop()
        case "a step more":
            steps.append({**steps[0], "key": "VirtualMachine/trainer#window", "kind": "window", "power": "on"})
        case _:
            steps[-1]["after"] = []
    del plan["digest"]
    plan["digest"] = canonical_digest({k: v for k, v in plan.items() if k != "diagnostics"})
    file.write_text(json.dumps(plan))
    refused = emulated.run("apply", "--json", str(file))
    assert (refused.code, refused.codes, emulated.left) == (5, ["plan-stale"], 0)


@pytest.mark.parametrize("seed", ["not a seed", ""])
def test_a_wrong_key_ends_an_apply_as_a_problem_of_the_key(world: Callable[..., Emulated], seed: str) -> None:
    emulated = world()
    file = planned(emulated, LAN, vm())
    emulated.project.environ["SEED"] = seed
    failed = emulated.run("apply", "--json", str(file))
    assert (failed.code, emulated.left) == (3, 0)
    assert set(failed.codes) <= {"identity", "secret-missing"}
    assert "bug" not in failed.out + failed.err
