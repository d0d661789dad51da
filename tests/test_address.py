"""Addresses are split and joined in one place, and are plain text everywhere else."""

from __future__ import annotations

import json
import pickle
import re
from pathlib import Path

import pytest

import dbc_iac
from dbc_iac.address import Address, close_address
from dbc_iac.kinds.framework.kind import MODELS


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


@pytest.mark.parametrize("given", ["trainer", "VirtualMachine/trainer"])
def test_a_resource_is_given_by_its_name_or_its_address(given: str) -> None:
    assert Address.given("VirtualMachine", given) == "VirtualMachine/trainer"


def test_no_other_module_joins_or_splits_addresses() -> None:
    joined = re.compile(rf"""["'](?:{"|".join(MODELS)})/(?:\{{|["'])""")
    product = (p for p in Path(dbc_iac.__file__).parent.rglob("*.py") if "emulator" not in p.parts)
    assert [p.name for p in product if joined.search(p.read_text("utf-8"))] == []


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("VirtualMachine/trianer", "VirtualMachine/trainer"),
        ("trainer", "VirtualMachine/trainer"),
        ("trianer", "VirtualMachine/trainer"),
        ("worker.b", "Disk/worker.b"),
        ("quux", ""),
        ("VirtualMachine/unheard-of", ""),
        ("VirtualMachin/trainer", "VirtualMachine/trainer"),
        ("Disk/trainer", ""),
    ],
)
def test_a_mistyped_address_or_a_name_finds_the_address(typed: str, meant: str) -> None:
    assert close_address(typed, {"VirtualMachine/trainer", "Disk/worker.a", "Disk/worker.b"}) == meant
