"""Indexes of resources and of ports, which find conflicts without comparing each pair."""

from __future__ import annotations

from typing import Any

from dbc_iac.kinds import Inventory, Resource
from dbc_iac.kinds.framework.capacity import Allocations, Capacity


def _image(resource: Resource[Any], inventory: Inventory) -> str:
    return str(resource.spec)


def test_resources_with_the_same_key_are_found_by_address() -> None:
    specs = {"Image/c": "one", "Image/a": "one", "Image/b": "two", "Node/a": "one"}
    resources: dict[str, Resource[Any]] = {
        a: Resource(a, a.partition("/")[0], a[-1], spec) for a, spec in specs.items()
    }
    inventory = Inventory("lab", "00", "main", resources)
    assert [r.address for r in inventory.of("Image")] == ["Image/c", "Image/a", "Image/b"]
    assert [r.address for r in inventory.having("Image", _image, "one")] == ["Image/a", "Image/c"]
    assert [r.address for r in inventory.before(resources["Image/c"], _image)] == ["Image/a"]
    assert not inventory.before(resources["Image/a"], _image)
    assert not inventory.of("Disk")


def test_allocations_find_the_holders_that_a_pair_by_pair_comparison_finds() -> None:
    holders = {
        "forwards": Capacity(ports=frozenset({("tcp", 80), ("udp", 53)})),
        "starts": Capacity(start_ports=frozenset({("tcp", 22)})),
        "public": Capacity(addresses=frozenset({"203.0.113.1"})),
        "gpus": Capacity(gpus=8),
    }
    allocations = Allocations()
    for holder, capacity in holders.items():
        allocations.add(holder, capacity)
    for wanted in (
        *holders.values(),
        Capacity(ports=frozenset({("tcp", 22)})),
        Capacity(ports=frozenset({("tcp", 53)})),
    ):
        assert allocations.clashing(wanted) == {h for h, c in holders.items() if wanted.clashes(c)}
    assert allocations.contested(Capacity(ports=frozenset({("tcp", 22), ("tcp", 443)}))) == {22}
    assert allocations.contested(holders["starts"]) == set()
    assert allocations.ports == {22, 53, 80}
