"""Reads that fail once while something is planned: they are sent again before anything counts as unknown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dbc_iac.emulator import FaultSpec
from tests.cli.commands.test_import import EVERYTHING, IMAGE_SERVERS, PORTS
from tests.cli.runs import applied
from tests.projects import Emulated, vm

COMMANDS = [
    ["plan", "--detailed-exitcode"],
    ["drift"],
    ["apply", "--yes"],
    ["plan", "--destroy"],
    ["orphans"],
    ["output"],
]


@pytest.mark.parametrize("kind", ["offline", "time-out", "refuse"])
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_read_that_fails_once_is_sent_again(world: Callable[..., Emulated], command: list[str], kind: str) -> None:
    emulated = world(*EVERYTHING, **IMAGE_SERVERS)
    applied(emulated)
    for op in ("tasks.list", "tasks.details", "lan.details", "snapshot.list", "images.list"):
        text = {"text": "libvirt disconnect"} if kind == "refuse" else {}
        emulated.network.faults.add(FaultSpec.model_validate({"op": op, "kind": kind, **text}))
    result = emulated.run(*command)
    assert result.code == 0, result.out + result.err


def reads(emulated: Emulated, *command: str) -> tuple[Any, float]:
    started = emulated.loop.time()
    result = emulated.run(*command)
    return result, emulated.loop.time() - started


def test_a_node_that_stays_away_is_not_asked_twice_for_everything(world: Callable[..., Emulated]) -> None:
    emulated = world(*EVERYTHING, **IMAGE_SERVERS)
    applied(emulated)
    emulated.network.faults.add(FaultSpec(op="*", kind="offline", times=10_000))
    result, seconds = reads(emulated, "plan", "--json")
    assert result.code == 1
    assert {c["action"] for c in result.json["changes"]} == {"unknown"}
    assert seconds < 120


def test_a_refusal_for_want_of_rights_is_not_repeated(world: Callable[..., Emulated]) -> None:
    emulated = world(vm(ports=PORTS))
    applied(emulated)
    calls = emulated.run("plan", "--json").json["calls"]
    emulated.network.chain.orders["112"].status = "rentExpired"
    result = emulated.run("plan", "--json")
    assert result.code == 4
    assert result.json["calls"] <= calls + 3
