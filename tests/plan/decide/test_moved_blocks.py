"""Renames of many resources at once."""

from __future__ import annotations

import inspect
import sys
from itertools import pairwise

from dbc_iac.kinds import kind_of
from dbc_iac.plan.decide.moved_blocks import blocked, check_lists, expanded, renamed
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


class Counted(str):
    """An address that counts how often it is looked up."""

    looked_up = 0

    def __hash__(self) -> int:
        Counted.looked_up += 1
        return super().__hash__()


def test_each_link_of_a_long_chain_is_followed_once() -> None:
    names = [Counted(address(n)) for n in range(COUNT + 1)]
    moves, last = [*pairwise(names)], {names[-1]}
    state = State(lineage="lab", project="lab", uid="uid", stack="main")
    Counted.looked_up = 0
    assert [*check_lists(moves, (), lambda path: None), *blocked(state, moves, last, lambda path: None)] == []
    assert renamed(state, moves, last) == (state, ())
    assert Counted.looked_up < 50 * COUNT


def test_what_refers_to_shifted_names_follows_its_object() -> None:
    vms = [Binding(address=address(n), kind="VirtualMachine", id=f"id{n}", generation=n + 1) for n in range(2)]
    disks = [
        Binding(
            address=f"Disk/d{n}",
            kind="Disk",
            id=f"disk{n}",
            generation=1,
            parent=address(n),
            dependencies=(address(n),),
            applied={"vm": f"trainer.a{n}"},
        )
        for n in range(2)
    ]
    bindings = {b.address: b for b in (*vms, *disks)}
    generations = {b.address: b.generation for b in vms}
    state = State(lineage="lab", project="lab", uid="uid", stack="main", bindings=bindings, generations=generations)
    after, done = renamed(state, [(address(n), address(n + 1)) for n in range(2)], {address(1), address(2)})
    assert done == ((address(1), address(2)), (address(0), address(1)))
    assert after.generations == {address(0): 1, address(1): 2, address(2): 2}
    for number, disk in enumerate(disks, 1):
        now = after.bindings[disk.address]
        assert (now.parent, now.dependencies) == (address(number), (address(number),))
        assert now.applied == {"vm": f"trainer.a{number}"}


def test_a_chain_of_for_eaches_is_followed_by_each_instance() -> None:
    moves = [("Disk/one", "Disk/two"), ("Disk/two", "Disk/three"), ("Disk/two.x", "Disk/three.a")]
    bindings = {f"Disk/{n}": Binding(address=f"Disk/{n}", kind="Disk", id=n, generation=1) for n in ("one.x", "two.b")}
    state = State(lineage="lab", project="lab", uid="uid", stack="main", bindings=bindings)
    documents = {"Disk/three.a", "Disk/three.b", "Disk/other"}
    after, done = renamed(state, expanded(moves, documents), documents)
    assert {a: b.id for a, b in after.bindings.items()} == {"Disk/three.a": "one.x", "Disk/three.b": "two.b"}
    assert sorted(done) == [("Disk/one.x", "Disk/three.a"), ("Disk/two.b", "Disk/three.b")]
    assert [*blocked(after, moves, documents, lambda path: None)] == []


def test_moves_of_single_resources_are_not_expanded() -> None:
    moves = (("Disk/one", "Disk/two"), ("Disk/two", "Disk/three"), ("Disk/a.x", "Disk/b.x"))
    assert expanded(moves, {"Disk/three", "Disk/b.x"}) == moves


def test_contradictory_moves_of_an_instance_and_its_for_each_move_nothing() -> None:
    moves = [("Disk/one.a", "Disk/two.a"), ("Disk/two", "Disk/one")]
    bindings = {"Disk/one.a": Binding(address="Disk/one.a", kind="Disk", id="1", generation=1)}
    state = State(lineage="lab", project="lab", uid="uid", stack="main", bindings=bindings)
    documents = {"Disk/one.b"}
    assert renamed(state, expanded(moves, documents), documents) == (state, ())
