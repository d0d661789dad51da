"""Image servers, as the kinds of images and snapshots use them: the way to them, and checks that they share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from dbc_iac.api.storage_responses import StoredImage, stored_size
from dbc_iac.diagnostics import Diagnostic, ExitCode
from dbc_iac.json import Json
from dbc_iac.kinds.framework.cached_reader import CachedReader, Unreadable
from dbc_iac.kinds.framework.capacity import Machine
from dbc_iac.kinds.framework.inventory import Inventory, Resource
from dbc_iac.kinds.framework.route import Route
from dbc_iac.kinds.images.files import SUFFIX, FileAt


def through_image_client(route: Route, inventory: Inventory) -> Route:
    """The same target through the one client node whose ids of image servers are meant."""
    return replace(route, clients=(inventory.image_client,)) if inventory.image_client else route


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


SIZE = "size"
"""Under this path a copy keeps the size that it had when it was made."""
UNTOLD_SIZE = stored_size(None)


def broken_off(what: str, file: str, copy: StoredImage | None, source: StoredImage, place: str) -> str:
    """A transfer that ended, and has not brought the whole file to its place."""
    if copy is None:
        return f"the {what} ended, and {file} is not {place}"
    sizes = f"{stored_size(copy.size_gib)} of {stored_size(source.size_gib)}"
    return f"the {what} broke off: {sizes} of {file} are {place}"


def incomplete(copy: StoredImage, source: StoredImage | None, made: Json, where: str) -> tuple[str, tuple[str, ...]]:
    """Why a copy of a file is not whole (empty: nothing tells that), and notes. `made`: the size that it was made with.

    A transfer that broke off leaves a part under the final name, and only the sizes tell. Both are rounded by one
    formula: what they hide, nothing shows.
    """
    now, wanted = stored_size(copy.size_gib), stored_size(source.size_gib if source is not None else None)
    if UNTOLD_SIZE in {now, wanted} or now == wanted:
        return "", ()
    if now == made:
        return "", (
            f"{where} has another version of it ({wanted}; the copy has {now}): a new `refresh` transfers that",
        )
    return f"it has {now} of {wanted} of the file in {where}: a transfer broke off, or the file was replaced", ()


def is_fetched(file: FileAt, inventory: Inventory) -> bool:
    """Whether an Image of these documents brings that file to that machine."""
    for image in inventory.of("Image"):
        node = inventory.find("Node", getattr(image.spec, "node", ""))
        if getattr(image.spec, "file", None) == file.name and getattr(node and node.spec, "id", "") == file.place:
            return True
    return False


def unknown_image_server(reading: Unreadable) -> bool:
    """Whether the client node does not know the image server: preflight says so, with a remedy."""
    return reading.reason == "image_server not exist"


def check_image_server(resource: Resource[Any], server: str, machine: Machine) -> Iterator[Diagnostic]:
    """The image server is one that the client node knows."""
    if machine.image_servers is not None and server not in machine.image_servers:
        yield resource.problem(
            "unknown-image-server",
            "imageServer",
            f"the client node for images knows no image server {server}",
            detail="The ids of image servers are those of the client node that is asked.",
            remedy=f"It knows: {', '.join(machine.image_servers) or 'none'}. Another one is chosen with `imageClient`.",
            exit_code=ExitCode.REFUSED,
        )


async def why_stalled(reader: CachedReader, route: Route, server: str, percent: int) -> str:
    """The problem of an image server that does not answer, in brackets, where a transfer is still at 0%; else empty."""
    stored = await reader.image_server(route, server) if percent == 0 else None
    return f" (image server {server}: {stored.reason})" if isinstance(stored, Unreadable) else ""
