"""Routes to image servers, and common checks of images and snapshots."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Any

from msgspec.structs import replace

from dbc_iac.diagnostics import Diagnostic, ExitCode
from dbc_iac.kinds.framework.cached_reader import CachedReader, Unreadable
from dbc_iac.kinds.framework.capacity import Machine
from dbc_iac.kinds.framework.inventory import Inventory, Resource
from dbc_iac.kinds.framework.route import Route
from dbc_iac.kinds.images.files import SUFFIX, FileAt


def through_image_client(route: Route, inventory: Inventory) -> Route:
    """The route through the client node for image servers: each client node has its own ids for them."""
    return replace(route, clients=(inventory.image_client,)) if inventory.image_client else route


def check_file(resource: Resource[Any], path: str, file: str | None) -> Iterator[Diagnostic]:
    """Problems of a file name that a node does not list as an image."""
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
            detail="It hides files with `data` in the name; files that begin with vm_ are disks of VMs.",
            remedy="Use another file name.",
        )


def is_fetched(file: FileAt, inventory: Inventory) -> bool:
    """Whether an Image of the manifests fetches that file to that machine."""
    return bool(inventory.having("Image", _fetched_file, file))


def _fetched_file(image: Resource[Any], inventory: Inventory) -> Hashable:
    node = inventory.find("Node", image.spec.node)
    return FileAt(getattr(node and node.spec, "id", ""), image.spec.file)


def unknown_image_server(reading: Unreadable) -> bool:
    """Whether the client node does not know the image server. Preflight reports that with a remedy."""
    return reading.reason == "image_server not exist"


def check_image_server(resource: Resource[Any], server: str, machine: Machine) -> Iterator[Diagnostic]:
    """The problem of an image server that the client node does not know."""
    if machine.image_servers is not None and server not in machine.image_servers:
        yield resource.problem(
            "unknown-image-server",
            "imageServer",
            f"the client node for images knows no image server {server}",
            detail=f"It knows: {', '.join(machine.image_servers) or 'none'}. Each client node has its own ids.",
            remedy="Use one of them, or set `imageClient` in the project file to another client node.",
            exit_code=ExitCode.REFUSED,
        )


async def why_stalled(reader: CachedReader, route: Route, server: str, percent: int) -> str:
    """The error of an image server that does not answer, in brackets, if a transfer is still at 0%; else empty."""
    stored = await reader.image_server(route, server) if percent == 0 else None
    return f" (image server {server}: {stored.reason})" if isinstance(stored, Unreadable) else ""
