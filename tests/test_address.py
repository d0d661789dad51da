"""Addresses are split and joined in one place, and are plain text everywhere else."""

from __future__ import annotations

import json
import pickle

import pytest

from dbc_iac.address import Address, close_address


@pytest.mark.parametrize(
    ("text", "kind", "name", "key", "generation", "resource", "group"),
    [
        ("Disk/scratch", "Disk", "scratch", "", None, "Disk/scratch", "Disk/scratch"),
        ("Disk/scratch.a", "Disk", "scratch.a", "a", None, "Disk/scratch.a", "Disk/scratch"),
        ("Disk/scratch~3", "Disk", "scratch", "", 3, "Disk/scratch", "Disk/scratch"),
        ("Disk/scratch.a~12", "Disk", "scratch.a", "a", 12, "Disk/scratch.a", "Disk/scratch"),
    ],
)
def test_an_address_has_its_parts(
    text: str, kind: str, name: str, key: str, generation: int | None, resource: str, group: str
) -> None:
    address = Address(text)
    assert (address.kind, address.name, address.key, address.generation) == (kind, name, key, generation)
    assert (address.resource, address.group, address.deposed) == (resource, group, generation is not None)


def test_an_address_is_joined_from_its_parts() -> None:
    address = Address.of("Disk", "scratch.a")
    assert (address, address.depose(3), address.depose(3).depose(4)) == (
        "Disk/scratch.a",
        "Disk/scratch.a~3",
        "Disk/scratch.a~4",
    )


def test_an_address_is_text_for_json_and_as_a_key() -> None:
    address = Address("Disk/scratch")
    assert json.loads(json.dumps({address: address})) == {"Disk/scratch": "Disk/scratch"}
    assert {"Disk/scratch": 1}[address] == 1
    assert type(pickle.loads(pickle.dumps(address))) is str  # noqa: S301 - made here


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("VirtualMachine/trianer", "VirtualMachine/trainer"),
        ("trainer", "VirtualMachine/trainer"),
        ("trianer", "VirtualMachine/trainer"),
        ("worker.b", "Disk/worker.b"),
        ("quux", ""),
    ],
)
def test_a_mistyped_address_or_a_name_finds_the_address(typed: str, meant: str) -> None:
    assert close_address(typed, {"VirtualMachine/trainer", "Disk/worker.a", "Disk/worker.b"}) == meant
