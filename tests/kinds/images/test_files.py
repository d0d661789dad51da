"""Names of image files, and their root images."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from dbc_iac.json import Json
from dbc_iac.kinds.images.files import (
    UNKNOWN_IMAGE,
    FileAt,
    files_at,
    image_file,
    root_image,
    root_of_snapshot,
    with_base,
)
from tests.plan.case import Case

MANIFESTS: dict[str, Any] = {
    "Node/gpu-a": {},
    "Image/base": {},
    "VirtualMachine/trainer": {"image": "base"},
    "Snapshot/tuned": {},
    "Image/tuned": {"file": None, "snapshot": "tuned"},
}
INVENTORY = Case({"manifests": MANIFESTS}).inventory


def test_only_known_files_are_listed() -> None:
    assert files_at("node", "a.qcow2", "Image/b", None) == {FileAt("node", "a.qcow2")}


@pytest.mark.parametrize(
    ("name", "file"),
    [("own.qcow2", "own.qcow2"), ("base", "base.qcow2"), ("tuned", "Image/tuned"), ("unknown", "Image/unknown")],
)
def test_an_image_is_named_by_its_file_if_that_is_known(name: str, file: str) -> None:
    assert image_file(name, INVENTORY) == file


def test_a_file_that_is_known_later_is_taken_from_the_state() -> None:
    known: dict[str, dict[str, Json]] = {"Image/tuned": {"id": "snap.qcow2"}}
    assert image_file("tuned", replace(INVENTORY, known=known)) == "snap.qcow2"


def test_the_root_of_a_snapshots_image_is_the_image_of_its_vm() -> None:
    assert root_image("tuned", INVENTORY) == "base.qcow2"
    assert root_of_snapshot("tuned", INVENTORY) == "base.qcow2"


def test_the_root_in_the_state_outlives_a_change_of_the_vm() -> None:
    known: dict[str, dict[str, Json]] = {"Snapshot/tuned": {"file": "snap.qcow2", "base": "old.qcow2"}}
    inventory = replace(INVENTORY, known=known)
    assert root_of_snapshot("tuned", inventory) == "old.qcow2"
    assert root_image("snap.qcow2", inventory) == "old.qcow2"


def test_a_cycle_or_an_unknown_image_has_no_root() -> None:
    cyclic = Case({"manifests": {**MANIFESTS, "VirtualMachine/trainer": {"image": "tuned"}}}).inventory
    assert root_of_snapshot("tuned", cyclic) == ""
    hidden = Case({"manifests": {**MANIFESTS, "VirtualMachine/trainer": {"image": UNKNOWN_IMAGE}}}).inventory
    assert root_of_snapshot("tuned", hidden) == ""


def test_a_file_is_not_its_own_base() -> None:
    assert with_base({}, "base.qcow2", "snap.qcow2") == {"base": "base.qcow2"}
    assert with_base({}, "base.qcow2", "base.qcow2") == with_base({}, "", "snap.qcow2") == {}
