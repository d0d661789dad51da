"""Image centres, as the kinds of images and snapshots use them: the way to them, and checks that they share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from dbc_iac.diagnostics import Diagnostic, ExitCode
from dbc_iac.kinds.files import SUFFIX, FileAt
from dbc_iac.kinds.kind import Machine
from dbc_iac.kinds.reach import Reach
from dbc_iac.kinds.reader import Unreadable
from dbc_iac.kinds.resource import Inventory, Resource


def through_image_client(reach: Reach, inventory: Inventory) -> Reach:
    """The same target through the one client node whose ids of image centres are meant."""
    return replace(reach, clients=(inventory.image_client,)) if inventory.image_client else reach


def check_file(resource: Resource[Any], path: str, file: str | None) -> Iterator[Diagnostic]:
    """A file name that a node lists as an image."""
    if file is None:
        return
    if not file.endswith(SUFFIX):
        yield resource.problem(
            "invalid-image", path, f"{file} is not a *{SUFFIX} file name", remedy=f"Use a file that ends in {SUFFIX}."
        )
    elif "data" in file or file.startswith("vm_"):
        yield resource.problem(
            "invalid-image",
            path,
            f"a node does not list {file} as an image",
            detail="It hides files with `data` in the name, and those that begin with vm_ are disks of VMs.",
            remedy="Use another file name.",
        )


def is_fetched(file: FileAt, inventory: Inventory) -> bool:
    """Whether an Image of these documents brings that file to that machine."""
    for image in inventory.of("Image"):
        node = inventory.find("Node", getattr(image.spec, "node", ""))
        if getattr(image.spec, "file", None) == file.name and getattr(node and node.spec, "id", "") == file.place:
            return True
    return False


def unknown_centre(reading: Unreadable) -> bool:
    """Whether the client node does not know the centre: preflight says so, with a remedy."""
    return reading.reason == "image_server not exist"


def check_centre(resource: Resource[Any], server: str, machine: Machine) -> Iterator[Diagnostic]:
    """The image centre is one that the client node knows."""
    if machine.centres is not None and server not in machine.centres:
        yield resource.problem(
            "unknown-image-server",
            "imageServer",
            f"the client node for images knows no image centre {server}",
            detail="The ids of image centres are those of the client node that is asked.",
            remedy=f"It knows: {', '.join(machine.centres) or 'none'}. Another one is chosen with `imageClient`.",
            exit_code=ExitCode.REFUSED,
        )
