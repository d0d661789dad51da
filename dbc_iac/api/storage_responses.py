"""Replies about snapshots, images, transfers and bare-metal servers. Pure; no I/O."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Literal

from msgspec import Struct, field

from dbc_iac.api.outcome import InconclusiveError, ShapeError
from dbc_iac.api.responses import Id, StoredImage, read
from dbc_iac.secret import SecretText


class SnapshotView(Struct, frozen=True, kw_only=True):
    """`status` is `creating`, `uploading` or `none`: no upload is running, which does not prove success.

    `file` is the path on the node; its last part names the image in the image server.
    """

    name: str = field(name="snapshot_name")
    description: str = ""
    file: str = field(name="snapshot_file")
    create_time: str = ""
    status: str


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


class AddedServer(Struct, frozen=True):
    """A server that a manager has added: they come sorted by uuid, not in the order of the request."""

    node_id: Id
    uuid: Id


class ServerView(Struct, frozen=True, kw_only=True):
    """A manager's record of a server. Without the owner's valid signature its secrets are asterisks: see `masked`."""

    node_id: Id
    uuid: Id
    ip: str
    os: str = ""
    description: str = ""
    ipmi_hostname: str
    ipmi_port: int | None = None
    ipmi_username: str
    ipmi_password: SecretText
    node_private_key: SecretText
    power_status: str | None = None
    deeplink_device_id: str | None = None
    deeplink_device_password: SecretText | None = None

    @property
    def masked(self) -> bool:
        """The manager did not accept the credentials; it answers with asterisks and errcode 0 nevertheless."""
        shown = (self.node_private_key.reveal(), self.ipmi_username, self.ipmi_password.reveal())
        return any(set(text) == {"*"} for text in shown)


class InstanceView(Struct, frozen=True):
    """A rented bare-metal server as its renter sees it."""

    version: str
    ip: str
    os: str = ""
    description: str = ""
    power_status: str | None = None
    deeplink_device_id: str | None = None
    deeplink_device_password: SecretText | None = None


class DeeplinkView(Struct, frozen=True):
    device_id: str
    device_password: SecretText


class _NodeImage(Struct, frozen=True):
    """A node writes the key of the name with a colon in it; an image server's listing does not."""

    name: str = field(name="image_name:")
    size_gib: Fraction | None = field(name="image_size", default=None)


def stored_images(value: object) -> tuple[StoredImage, ...]:
    if isinstance(value, list) and any("image_name:" in row for row in value if isinstance(row, dict)):
        return tuple(StoredImage(one.name, one.size_gib) for one in read(tuple[_NodeImage, ...], value))
    return read(tuple[StoredImage, ...], value)


def image_server_files(value: object) -> tuple[StoredImage, ...]:
    """An image server's listing. An empty one proves nothing: an unreachable image server gives the same."""
    found = stored_images(value)
    if not found:
        raise InconclusiveError("the image server lists no files: it is empty or cannot be reached")
    return found


def progress(value: object) -> Progress:
    percent = re.fullmatch(r"([0-9]{1,3})%", read(str, value, "progress"))
    status = read(str, value, "status")
    if percent is None or status not in {"downloading", "uploading", "done"}:
        raise ShapeError("not the progress of a transfer")
    return Progress(status != "done", int(percent[1]))


def power_state(value: object) -> Literal["on", "off"]:
    """`Chassis Power is on` of ipmitool, `Power is on` of other back ends; anything else comes with errcode 0 too."""
    match = re.fullmatch(r"(?:Chassis )?Power is (on|off)", value) if isinstance(value, str) else None
    if match is None:
        raise ShapeError("not a power status")
    return "on" if match[1] == "on" else "off"
