"""Files on machines and in image servers, and what they are made from.

A disk or an image that was made from another one is broken for good when that file is deleted or overwritten. No API
tells of a base: what is known of it comes from the manifests, and from what state kept when the file was made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dbc_iac.json import Json
from dbc_iac.kinds.framework.inventory import Inventory

SUFFIX = ".qcow2"
UNTOLD = "untold.qcow2"
"""Stands for the image of an external VM whose document says none."""
BASE = "base"
"""Under this path a resource keeps the image without a base of its own that it was made from in the end."""


@dataclass(frozen=True, slots=True, order=True)
class FileAt:
    """A file by its name: in /data of the machine with that id, or in the image server with that one."""

    place: str
    name: str


def files_at(place: Json, *names: Json) -> frozenset[FileAt]:
    """Those of the names that are known already, at one place."""
    return frozenset(FileAt(str(place), n) for n in names if isinstance(n, str) and n.endswith(SUFFIX))


def image_file(name: str, inventory: Inventory) -> str:
    """The file that is meant by a file name or by the name of an Image: `Image/NAME` where that is known later."""
    if name.endswith(SUFFIX):
        return name
    image = inventory.find("Image", name)
    named = getattr(image.spec, "file", None) if image is not None else None
    return str(named or inventory.known.get(f"Image/{name}", {}).get("id") or f"Image/{name}")


def root_image(name: str, inventory: Inventory) -> str:
    """The image without a base of its own that a file, or an Image, is made from in the end; empty where not known."""
    return _root(name, inventory, frozenset())


def root_of_snapshot(name: str, inventory: Inventory) -> str:
    """The image that the file of a Snapshot has for its base; empty where not known."""
    return _root_of_snapshot(name, inventory, frozenset())


def _root(name: str, inventory: Inventory, seen: frozenset[str]) -> str:
    image = inventory.find("Image", name)
    snapshot = getattr(image.spec, "snapshot", None) if image is not None else None
    if isinstance(snapshot, str):
        return _root_of_snapshot(snapshot, inventory, seen)
    file = image_file(name, inventory)
    return inventory.bases.get(file, file) if file.endswith(SUFFIX) else ""


def _root_of_snapshot(name: str, inventory: Inventory, seen: frozenset[str]) -> str:
    """As state keeps it: the VM may have been made anew from another image since. Documents may go round in a ring."""
    if kept := inventory.known.get(f"Snapshot/{name}", {}).get(BASE):
        return str(kept)
    snapshot = inventory.find("Snapshot", name)
    vm = inventory.find("VirtualMachine", str(getattr(snapshot.spec, "vm", ""))) if snapshot is not None else None
    image = getattr(vm.spec, "image", None) if vm is not None else None
    return "" if image in {None, UNTOLD} or name in seen else _root(str(image), inventory, seen | {name})


def with_base(values: Mapping[str, Json], base: str, file: Json) -> dict[str, Json]:
    """The fields with the base of what they describe, where it has one that is not the file itself."""
    return {**values, BASE: base} if base and base != file else dict(values)
