"""Manifests of existing objects: their names, and texts of a node, which stay literal."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from dbc_iac.diagnostics import Diagnostics
from dbc_iac.importing.discover import UnmanagedObject
from dbc_iac.importing.generate import manifests, name_documents
from dbc_iac.json import Json
from dbc_iac.kinds.framework.route import Route
from dbc_iac.manifest.source_map import SourceMap
from dbc_iac.manifest.templates import Templates

PARTS = [
    "{{",
    "}}",
    "{%",
    "%}",
    "{#",
    "'",
    '"',
    "\\",
    "\n",
    "\r\n",
    "\u202e",
    "\u2066",
    "\u2028",
    ": ",
    "#",
    "x",
    "7*7",
    "é",
    "\U0001f600",
]
ROUTE = Route("Node/gpu-a", "t", "tenant", ())


def read_back(text: str) -> Any:
    """The documents of a file as a plan sees them."""
    return Templates({"var": {}}).render(list(yaml.safe_load_all(text)), SourceMap(), Diagnostics())


@given(st.lists(st.sampled_from(PARTS), max_size=8).map("".join))
@settings(max_examples=30)
def test_any_text_of_a_node_is_read_back_as_it_was(said: str) -> None:
    fields: dict[str, Json] = {"description": said, "ports.ssh": 22}
    one = UnmanagedObject("VirtualMachine", "task", "Node/gpu-a", ROUTE, "nobody's", fields=fields)
    text = manifests({"VirtualMachine/a": one}, {})[0]["gpu-a.yaml"]
    assert all(c.isprintable() or c == "\n" for c in text)
    [document] = read_back(text)
    assert document["spec"].get("description", "") == said


def disk(identity: str, **fields: Json) -> UnmanagedObject:
    return UnmanagedObject("Disk", identity, "Node/gpu-a", ROUTE, "nobody's", parent_id="task", fields=fields)


@pytest.mark.parametrize(
    ("one", "address"),
    [
        (UnmanagedObject("VirtualMachine", "7a7F", "Node/gpu-a", ROUTE, "nobody's"), "VirtualMachine/vm-7a7f"),
        (
            UnmanagedObject("VirtualMachine", "7a7F", "Node/gpu-a", ROUTE, "ours", "dbc-iac:lab/main/trainer/1/0"),
            "VirtualMachine/trainer",
        ),
        (disk("/data/Data_2.qcow2"), "Disk/disk-data-2"),
        (UnmanagedObject("Network", "___", "Node/gpu-a", ROUTE, "nobody's"), "Network/imported"),
    ],
)
def test_a_document_is_named_by_its_marker_or_id(one: UnmanagedObject, address: str) -> None:
    assert name_documents([one], frozenset()) == {address: one}


def test_a_name_that_is_taken_gets_a_number() -> None:
    found = name_documents([disk("/data/a.qcow2"), disk("/data/A.qcow2")], frozenset({"Disk/disk-a"}))
    assert [*found] == ["Disk/disk-a-2", "Disk/disk-a-3"]


def test_a_disk_refers_to_its_vm_by_name_and_ignores_a_size_that_no_manifest_can_have() -> None:
    texts, warnings = manifests(
        {"Disk/a": disk("/data/a.qcow2", size="7.81Gi", hostDir="/data")}, {"task": "VirtualMachine/trainer"}
    )
    [document] = read_back(texts["gpu-a.yaml"])
    expected = {"vm": "trainer", "size": "8Gi", "hostDir": "/data", "lifecycle": {"ignoreChanges": ["size"]}}
    assert document["spec"] == expected
    assert [(w.code, w.address) for w in warnings] == [("size-not-whole", "Disk/a")]
