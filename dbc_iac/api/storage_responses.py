"""Replies about snapshots, images and transfers, and the renter's view of a bare-metal server. Pure; no I/O."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Literal

from msgspec import Struct

from dbc_iac.api.decode import Members, maybe_secret, maybe_size, maybe_text, members, rows, text, texts
from dbc_iac.api.outcome import InconclusiveError, ShapeError
from dbc_iac.api.secret import SecretText


class SnapshotView(Struct, frozen=True):
    """`status` is `creating`, `uploading` or `none`: no upload is running, which does not prove success.

    `file` is the path on the node; its last part names the image in the image server.
    """

    name: str
    description: str
    file: str
    create_time: str
    status: str


class StoredImage(Struct, frozen=True):
    """An image file on a node or in an image server. `size_gib` is of the file, and rounded by the node."""

    name: str
    size_gib: Fraction | None


def stored_size(size: Fraction | None) -> str:
    """The size of a file with the precision of the node, in the largest unit that gives at least 1: 163.2Mi."""
    for unit, of_gib in (("Gi", 1), ("Mi", 1024), ("Ki", 1024**2)):
        if size is not None and size * of_gib >= 1:
            return f"{float(size * of_gib):.2f}".rstrip("0").rstrip(".") + unit
    return "?" if size is None else f"{round(size * 1024**3)}B"


class Progress(Struct, frozen=True):
    """Progress of a transfer. Not active means finished, failed, stopped, or never started."""

    active: bool
    percent: int


class InstanceView(Struct, frozen=True):
    """A rented bare-metal server as its renter sees it."""

    version: str
    ip: str
    os: str
    description: str
    power_status: str | None
    deeplink_device_id: str | None
    deeplink_device_password: SecretText | None


class DeeplinkView(Struct, frozen=True):
    device_id: str
    device_password: SecretText


def snapshot_view(value: object) -> SnapshotView:
    row = members(value)
    return SnapshotView(
        name=text(row, "snapshot_name"),
        description=maybe_text(row, "description") or "",
        file=text(row, "snapshot_file"),
        create_time=maybe_text(row, "create_time") or "",
        status=text(row, "status"),
    )


def snapshot_views(value: object) -> tuple[SnapshotView, ...]:
    return tuple(snapshot_view(row) for row in rows(value))


def stored_images(value: object) -> tuple[StoredImage, ...]:
    return tuple(_stored_image(row) for row in rows(value))


def _stored_image(row: Members) -> StoredImage:
    # A node writes the key with a colon in it; an image server's listing does not.
    name = maybe_text(row, "image_name") or text(row, "image_name:")
    return StoredImage(name, maybe_size(row, "image_size"))


def image_server_files(value: object) -> tuple[StoredImage, ...]:
    """An image server's listing. An empty one proves nothing: an unreachable image server gives the same."""
    found = stored_images(value)
    if not found:
        raise InconclusiveError("the image server lists no files: it is empty or cannot be reached")
    return found


def image_servers(value: object) -> tuple[str, ...]:
    return texts(members(value), "image_server")


def progress(value: object) -> Progress:
    row = members(value)
    percent = re.fullmatch(r"([0-9]{1,3})%", text(row, "progress"))
    status = text(row, "status")
    if percent is None or status not in {"downloading", "uploading", "done"}:
        raise ShapeError("not the progress of a transfer")
    return Progress(status != "done", int(percent[1]))


def instance_view(value: object) -> InstanceView:
    row = members(value)
    return InstanceView(
        version=text(row, "version"),
        ip=text(row, "ip"),
        os=maybe_text(row, "os") or "",
        description=maybe_text(row, "description") or "",
        power_status=maybe_text(row, "power_status"),
        deeplink_device_id=maybe_text(row, "deeplink_device_id"),
        deeplink_device_password=maybe_secret(row, "deeplink_device_password"),
    )


def deeplink_view(value: object) -> DeeplinkView:
    row = members(value)
    return DeeplinkView(text(row, "device_id"), SecretText(text(row, "device_password")))


def power_state(value: object) -> Literal["on", "off"]:
    """`Chassis Power is on` of ipmitool, `Power is on` of other back ends; anything else comes with errcode 0 too."""
    match = re.fullmatch(r"(?:Chassis )?Power is (on|off)", value) if isinstance(value, str) else None
    if match is None:
        raise ShapeError("not a power status")
    return "on" if match[1] == "on" else "off"
