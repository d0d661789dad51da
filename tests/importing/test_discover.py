"""Discovery of unmanaged objects, and of their owners."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from dbc_iac.api.responses import VmSummary
from dbc_iac.importing.discover import Findings, find_unbound
from dbc_iac.plan.decide.ownership import Object, object_of
from tests.kinds.shown import DETAILS, LAN, SILENT, VM, details, reader
from tests.plan.case import Case
from tests.projects import NODE_ID

NODE: dict[str, Any] = {"Node/gpu-a": {}}
FILE = "/data/scratch.qcow2"
SHOWN: dict[str, object] = {
    "vms": {VM: VmSummary(VM, "running")},  # type: ignore[arg-type]
    "vm": details(("vdc", 50, FILE)),
    "networks": (),
    "snapshots": (),
}


def discover(written: dict[str, Any] | None = None, held: dict[Object, str] | None = None, **shown: object) -> Findings:
    context = replace(
        Case({"manifests": NODE, **(written or {})}).context, wallets=lambda identity: frozenset({"wallet"})
    )
    return asyncio.run(find_unbound(context, reader(**{**SHOWN, **shown}), held or {}))


def test_a_vm_and_its_disk_are_found_where_they_are() -> None:
    found = discover()
    assert [(one.kind, one.id, one.place, one.parent_id) for one in found.found] == [
        ("Disk", FILE, "Node/gpu-a", VM),
        ("VirtualMachine", VM, "Node/gpu-a", ""),
    ]
    assert found.unread == {}


def test_managed_objects_are_left_out() -> None:
    managed: dict[str, Any] = {"VirtualMachine/trainer": {}}
    found = discover({"manifests": {**NODE, **managed}, "state": {"VirtualMachine/trainer": {"id": VM}}})
    assert [one.kind for one in found.found] == ["Disk"]


@pytest.mark.parametrize(
    ("marker", "owner"),
    [
        ("dbc-iac:lab/default/a/1/0", "ours"),
        ("dbc-iac:lab/other/a/1/0", "another stack's"),
        ("dbc-iac:other/default/a/1/0", "another project's"),
        ("", "nobody's"),
    ],
)
def test_a_disk_has_the_owner_in_the_marker_of_its_vm(marker: str, owner: str) -> None:
    shown = replace(details(("vdc", 50, FILE)), desc=f"[{marker}]")
    assert {one.kind: one.whose for one in discover(vm=shown).found} == {"Disk": owner, "VirtualMachine": owner}


def test_an_object_in_the_state_of_another_stack_is_that_stacks() -> None:
    held = {object_of("VirtualMachine", VM, NODE_ID, ""): "prod"}
    assert {one.kind: one.whose for one in discover(held=held).found}["VirtualMachine"] == "another stack's"


def test_a_lan_belongs_to_the_owner_of_the_vm_that_uses_it() -> None:
    shown = replace(DETAILS, desc="[dbc-iac:lab/other/a/1/0]", network_name="training")
    found = discover(vm=shown, networks=(LAN,))
    assert {one.kind: one.whose for one in found.found}["Network"] == "another stack's"


def test_a_lan_of_another_wallet_is_left_out() -> None:
    assert "Network" in {one.kind for one in discover(networks=(LAN,)).found}
    assert "Network" not in {one.kind for one in discover(networks=(replace(LAN, rent_wallet="other"),)).found}


def test_a_node_that_cannot_be_read_is_named() -> None:
    assert discover(vms=SILENT).unread == {"Node/gpu-a": "no answer"}
