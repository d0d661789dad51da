"""Renames of many resources at once."""

from __future__ import annotations

import inspect
import sys

from dbc_iac.kinds import kind_of
from dbc_iac.plan.decide.moved_blocks import renamed
from dbc_iac.state import Binding, State

COUNT = 300


def address(number: int) -> str:
    return f"VirtualMachine/trainer.a{number}"


def test_a_list_of_names_longer_than_the_stack_is_shifted_by_one() -> None:
    bindings = {
        address(n): Binding(address=address(n), kind="VirtualMachine", id=f"id{n}", generation=1) for n in range(COUNT)
    }
    state = State(lineage="lab", project="lab", uid="uid", stack="main", bindings=bindings)
    moves = [(address(n), address(n + 1)) for n in range(COUNT)]
    assert kind_of("VirtualMachine").reference_fields  # imported before the stack is limited
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack(0)) + COUNT // 2)
    try:
        after, done = renamed(state, moves, {address(n + 1) for n in range(COUNT)})
    finally:
        sys.setrecursionlimit(limit)
    assert {a: b.id for a, b in after.bindings.items()} == {address(n + 1): f"id{n}" for n in range(COUNT)}
    assert sorted(done) == sorted(moves)
