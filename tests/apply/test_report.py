"""Problems that an apply reports."""

from __future__ import annotations

from collections.abc import Callable

from tests.apply.test_event_loop import LANS, OTHER, TWO_NODES
from tests.projects import Emulated, vm


def test_a_resource_of_an_ended_rental_is_reported_once(world: Callable[..., Emulated]) -> None:
    orders = {**TWO_NODES["orders"], "113": {**TWO_NODES["orders"]["113"], "status": "rentExpired"}}
    emulated = world(OTHER, LANS[0], vm(node="gpu-b"), **{**TWO_NODES, "orders": orders})
    applied = emulated.run("apply", "--yes")
    assert (applied.code, applied.err.count("warning[unreadable]: VirtualMachine/trainer")) == (4, 1), applied.err
    assert "or renew the rental" in applied.err
