"""Problems that an apply reports."""

from __future__ import annotations

import json
from collections.abc import Callable

from dbc_iac.emulator import FaultSpec
from tests.apply.test_event_loop import LANS, OTHER, TWO_NODES
from tests.projects import Emulated, vm


def test_a_resource_of_an_ended_rental_is_reported_once(world: Callable[..., Emulated]) -> None:
    orders = {**TWO_NODES["orders"], "113": {**TWO_NODES["orders"]["113"], "status": "rentExpired"}}
    emulated = world(OTHER, LANS[0], vm(node="gpu-b"), **{**TWO_NODES, "orders": orders})
    applied = emulated.run("apply", "--yes")
    assert (applied.code, applied.err.count("warning[unreadable]: VirtualMachine/trainer")) == (4, 1), applied.err
    assert "or renew the rental" in applied.err


def test_the_remedy_of_a_failed_destroy_is_not_an_apply(world: Callable[..., Emulated]) -> None:
    emulated = world(vm())
    assert emulated.run("apply", "--yes").code == 0
    emulated.network.faults.add(FaultSpec(op="tasks.delete", kind="refuse", text="unheard-of reason", times=9))
    failed = emulated.run("destroy", "--yes", "--json")
    [problem] = json.loads(failed.err)["diagnostics"]
    assert (failed.code, problem["code"]) == (1, "goal-failed"), failed.err
    assert problem["remedy"] == "Fix the cause, and run the command again. Finished changes are not repeated."
