"""Image centres: rsync servers anybody can list, fetch from and overwrite. Shared by all nodes of a world."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field

from dbc_iac.emulator.gpu.files import HostFile
from dbc_iac.emulator.gpu.paste import array, fields
from dbc_iac.emulator.gpu.sizes import format_bytes
from dbc_iac.emulator.gpu.spec import ImageCentreSpec


@dataclass(slots=True)
class ImageCentre:
    """One centre. `files` by name, in the module's root. `died` is set when it cannot be reached any more: what goes
    on with it breaks off."""

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
        """Names (cut at the first space) and bytes of its qcow2 files; nothing when it cannot be reached."""
        if not self.reachable:
            return []
        return [
            (name.split(" ")[0], file.size)
            for name, file in sorted(self.files.items())
            if name.split(" ")[0].endswith(".qcow2")
        ]

    def listed_size(self, name: str) -> int | None:
        """Bytes of the first file whose name *contains* `name`: the node greps for it."""
        return next((size for listed, size in self.listing() if name in listed), None)


class ImageCentres:
    """The centres of a world by id."""

    def __init__(self, specs: Iterable[ImageCentreSpec] = ()) -> None:
        self.centres = {spec.id: _centre(spec) for spec in specs}

    def get(self, centre_id: str) -> ImageCentre | None:
        return self.centres.get(centre_id)

    def to_state(self) -> dict[str, object]:
        return {
            centre.id: {
                "reachable": centre.reachable,
                "bytesPerSecond": centre.bytes_per_second,
                "failSeconds": centre.fail_seconds,
                "images": [
                    {"name": name, "size": file.size, "virtualSize": file.virtual_size, "base": file.base}
                    for name, file in centre.files.items()
                ],
            }
            for centre in self.centres.values()
        }

    def from_state(self, state: dict[str, object]) -> None:
        """Replaces the centres by saved ones."""
        self.centres = {
            key: _centre(ImageCentreSpec.model_validate({"id": key, **_mapping(value)})) for key, value in state.items()
        }


def centre_reply(centre: ImageCentre) -> str:
    """The message of a client node that was asked for a centre's list."""
    return array(fields({"image_name": name, "image_size": format_bytes(size)}) for name, size in centre.listing())


def _centre(spec: ImageCentreSpec) -> ImageCentre:
    files = {image.name: HostFile(image.size, image.virtual_size, image.base, image.guest) for image in spec.images}
    return ImageCentre(spec.id, files, spec.reachable, spec.bytes_per_second, spec.fail_seconds)


def _mapping(value: object) -> dict[str, object]:
    return dict(value) if isinstance(value, dict) else {}
