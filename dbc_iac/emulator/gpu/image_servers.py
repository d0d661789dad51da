"""Image servers: public rsync servers that anybody can list, read and overwrite. Shared by all nodes of a world."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from msgspec import Struct, field

from dbc_iac.emulator.gpu.files import HostFile
from dbc_iac.emulator.gpu.paste import array, fields
from dbc_iac.emulator.gpu.sizes import format_bytes
from dbc_iac.emulator.gpu.spec import ImageServerSpec


class ImageServer(Struct):
    """An image server. `files` by name, in the root of the module. `died` is set when it becomes unreachable: its
    transfers are interrupted.
    """

    id: str
    files: dict[str, HostFile] = field(default_factory=dict)
    runs: bool = True
    bytes_per_second: float = 450_000_000.0
    fail_seconds: float = 0.2
    died: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def reachable(self) -> bool:
        return self.runs

    @reachable.setter
    def reachable(self, runs: bool) -> None:
        if self.runs and not runs:
            self.died.set()
            self.died = asyncio.Event()
        self.runs = runs

    def listing(self) -> list[tuple[str, int]]:
        """Names (cut at the first space) and bytes of its qcow2 files; empty if unreachable."""
        if not self.reachable:
            return []
        return [
            (name.split(" ")[0], file.size)
            for name, file in sorted(self.files.items())
            if name.split(" ")[0].endswith(".qcow2")
        ]

    def listed_size(self, name: str) -> int | None:
        """Bytes of the first file whose name *contains* `name`: the node uses grep."""
        return next((size for listed, size in self.listing() if name in listed), None)


class ImageServers:
    """The image servers of a world by id."""

    def __init__(self, specs: Iterable[ImageServerSpec] = ()) -> None:
        self.image_servers = {spec.id: _image_server(spec) for spec in specs}

    def get(self, image_server_id: str) -> ImageServer | None:
        return self.image_servers.get(image_server_id)

    def to_state(self) -> dict[str, object]:
        return {
            image_server.id: {
                "reachable": image_server.reachable,
                "bytesPerSecond": image_server.bytes_per_second,
                "failSeconds": image_server.fail_seconds,
                "images": [
                    {"name": name, "size": file.size, "virtualSize": file.virtual_size, "base": file.base}
                    for name, file in image_server.files.items()
                ],
            }
            for image_server in self.image_servers.values()
        }

    def from_state(self, state: dict[str, object]) -> None:
        """Replace the image servers with saved ones."""
        self.image_servers = {
            key: _image_server(ImageServerSpec.model_validate({"id": key, **_mapping(value)}))
            for key, value in state.items()
        }


def image_server_reply(image_server: ImageServer) -> str:
    """Message of a client node for the list of an image server."""
    return array(
        fields({"image_name": name, "image_size": format_bytes(size)}) for name, size in image_server.listing()
    )


def _image_server(spec: ImageServerSpec) -> ImageServer:
    files = {image.name: HostFile(image.size, image.virtual_size, image.base, image.guest) for image in spec.images}
    return ImageServer(spec.id, files, spec.reachable, spec.bytes_per_second, spec.fail_seconds)


def _mapping(value: object) -> dict[str, object]:
    return dict(value) if isinstance(value, dict) else {}
