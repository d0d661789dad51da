"""Image files on machines and image servers, and their base images.

A disk or an image that was made from another one breaks when that file is deleted or overwritten. No API shows base
images: they are known from the manifests, and from the state since the file was created.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from dbc_iac.address import Address
from dbc_iac.json import Json
from dbc_iac.kinds.framework.inventory import Inventory

SUFFIX = ".qcow2"
UNKNOWN_IMAGE = "untold.qcow2"
"""Placeholder for the image of an external VM without one in its manifest."""
NOT_SHOWN = "not-shown.qcow2"
"""Placeholder for the image of an imported VM."""
BASE = "base"
"""Path of the root image of a resource: the image without a base of its own that it was made from."""


class FileAt(Struct, frozen=True, order=True):
    """A file by its name, in /data of the machine or in the image server with the id `place`."""

    place: str
    name: str


def files_at(place: Json, *names: Json) -> frozenset[FileAt]:
    """Files at a place, of those names that are known."""
    return frozenset(FileAt(str(place), n) for n in names if isinstance(n, str) and n.endswith(SUFFIX))


def image_file(name: str, inventory: Inventory) -> str:
    """The file of a file name or of the name of an Image; `Image/NAME` if it is known later."""
    if name.endswith(SUFFIX):
        return name
    image = inventory.find("Image", name)
    named = getattr(image.spec, "file", None) if image is not None else None
    return str(named or inventory.known_of("Image", name).get("id") or Address.of("Image", name))


def root_image(name: str, inventory: Inventory, seen: frozenset[str] = frozenset()) -> str:
    """The root image of a file or an Image; empty if unknown. `seen`: names of Snapshots on the way to it."""
    image = inventory.find("Image", name)
    snapshot = getattr(image.spec, "snapshot", None) if image is not None else None
    if isinstance(snapshot, str):
        return root_of_snapshot(snapshot, inventory, seen)
    file = image_file(name, inventory)
    return inventory.bases.get(file, file) if file.endswith(SUFFIX) else ""


def root_of_snapshot(name: str, inventory: Inventory, seen: frozenset[str] = frozenset()) -> str:
    """The root image of a Snapshot's file; empty if unknown.

    By the state, since the VM may have been replaced from another image; else by the manifests, also cyclic ones.
    """
    if kept := inventory.known_of("Snapshot", name).get(BASE):
        return str(kept)
    snapshot = inventory.find("Snapshot", name)
    vm = inventory.find("VirtualMachine", str(getattr(snapshot.spec, "vm", ""))) if snapshot is not None else None
    image = getattr(vm.spec, "image", None) if vm is not None else None
    return "" if image in {None, UNKNOWN_IMAGE} or name in seen else root_image(str(image), inventory, seen | {name})


def with_base(values: Mapping[str, Json], base: str, file: Json) -> dict[str, Json]:
    """The fields with the root image of their object, if it is not the file itself."""
    return {**values, BASE: base} if base and base != file else dict(values)
