"""Goals of a snapshot's upload: the file is complete in the image server. An unwatched upload is repeated."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from msgspec import field
from msgspec.structs import replace

from dbc_iac.api import requests
from dbc_iac.api.endpoints import images
from dbc_iac.api.idempotency import CallClass
from dbc_iac.api.outcome import Done, NotSent, Outcome, Refused
from dbc_iac.api.responses import StoredImage
from dbc_iac.api.storage_responses import SnapshotView, stored_size
from dbc_iac.diagnostics import Diagnostic, ExitCode, Severity
from dbc_iac.json import Json
from dbc_iac.kinds.framework.cached_reader import CachedReader, Known, Unreadable
from dbc_iac.kinds.framework.goal import ActContext, Goal, GoalState, GoalStatus, unseen
from dbc_iac.kinds.framework.route import Route
from dbc_iac.kinds.images.image_server import why_stalled
from dbc_iac.kinds.snapshots.upload_progress import UploadProgress

CREATING, UPLOADING, IDLE = "creating", "uploading", "none"
ARRIVED = "arrived"
"""Applied field of a snapshot whose upload was watched to its end."""
UNVERIFIED = "uploadUnverified"
"""Resolved value: whether the end of its upload was not seen."""
UNSEEN = "its upload was not watched to the end: the file may be incomplete"
_AGAIN = "apply again to send it once more"


async def find_snapshot(
    reader: CachedReader, route: Route, vm: str, name: str
) -> Known[SnapshotView | None] | Unreadable:
    """The oldest snapshot of that name, as the node finds it. Remembers the progress of its upload."""
    listed = await reader.snapshots(route, vm)
    key, now = (route.target, vm, name), asyncio.get_running_loop().time()
    course = reader.courses.get(key, UploadProgress())
    if isinstance(listed, Unreadable):
        reader.courses[key] = course.missed()
        return listed
    found = next((s for s in listed.value if s.name == name), None)
    if found is None or found.status == CREATING:
        reader.courses[key] = course.not_started(now)
    elif found.status == UPLOADING:
        progress = await reader.upload(route, found.file)
        if isinstance(progress, Known) and progress.value.active:
            reader.courses[key] = course.at(now, progress.value.percent)
    return Known(found)


class SnapshotArrived(Goal, frozen=True, kw_only=True):
    """Its file is in the image server, and its upload was watched until the file had to be complete."""

    name = "snapshot-arrived"
    call_class = CallClass.READ
    late = True
    fields: Mapping[str, Json] = field(default_factory=lambda: {ARRIVED: True})
    image_server: str
    believed: bool = False
    """Whether its upload is assumed to have succeeded: its record in the state was lost."""

    @property
    def action_text(self) -> str:
        return f"uploading the file of snapshot {self.id} to image server {self.image_server}"

    async def look(self, reader: CachedReader) -> GoalState:
        found = await find_snapshot(reader, self.route, self.vm, self.id)
        if isinstance(found, Unreadable) or found.value is None:
            return unseen(found, "the snapshot is not listed")
        file = found.value.file
        if found.value.status != IDLE:
            progress = await reader.upload(self.route, file)
            if isinstance(progress, Known) and progress.value.active:
                return await self.uploading(reader, progress.value.percent)
            return replace(await self.uploading(reader, None), text=found.value.status)
        return await self.stored(reader, PurePosixPath(file).name)

    async def uploading(self, reader: CachedReader, percent: int | None) -> GoalState:
        """The state during an upload; `percent`: None if the node does not report it."""
        silent = "" if percent is None else await why_stalled(reader, self.route, self.image_server, percent)
        course = reader.courses.get((self.route.target, self.vm, self.id), UploadProgress())
        close = course.ends_soon(asyncio.get_running_loop().time())
        return GoalState(GoalStatus.WAITING, f"uploading ({percent} %){silent}", close=close)

    async def stored(self, reader: CachedReader, file: str) -> GoalState:
        """The state after the end of an upload: whether the image server has the file, and it can be complete."""
        key = (self.route.target, self.vm, self.id)
        course = reader.courses.get(key, UploadProgress())
        listed = await reader.image_server(self.route, self.image_server)
        if isinstance(listed, Unreadable):  # one that died has cut the upload off
            reader.courses[key] = course.missed()
            return unseen(listed)
        stored = listed.value.get(file)
        if stored is None or not stored.size_gib:
            return GoalState(GoalStatus.FAILED, f"the upload ended without {file} in the image server ({_AGAIN})")
        now = asyncio.get_running_loop().time()
        if self.believed or course.whole(now):
            verified = course.verified(now) and not self.believed
            warning = None if verified else self._unverified(file, stored, course)
            return GoalState(GoalStatus.MET, resolved={UNVERIFIED: not verified}, warning=warning)
        if not course.seen:
            return GoalState(GoalStatus.FAILED, f"{UNSEEN} ({_AGAIN})")
        text = f"its upload was interrupted at {course.percent} %: {file} is incomplete in the image server"
        return GoalState(GoalStatus.FAILED, f"{text} ({_AGAIN})")

    def _unverified(self, file: str, stored: StoredImage, course: UploadProgress) -> Diagnostic:
        last = f"Last progress: {course.percent} %" if course.seen else "It ended before its progress was read"
        return Diagnostic(
            "upload-unverified",
            Severity.WARNING,
            f"{self.address}: cannot verify that its upload is complete",
            f"{last}. Image server {self.image_server} has {stored_size(stored.size_gib)} of {file}. The API does not "
            "report the expected size, and an interrupted upload leaves a part of the file under the same name.",
            "Start a VM from it before you rely on it, or change its `trigger` to take another snapshot.",
            address=self.address,
            exit_code=ExitCode.OK,
        )

    async def act(self, context: ActContext, reader: CachedReader) -> Outcome[Any]:
        return Done(None)  # the upload goes on by itself


class SnapshotSent(SnapshotArrived, frozen=True, kw_only=True):
    """The file of an unwatched upload is complete, or sent again from the node's copy.

    For an upload that an earlier apply started. `ended`: it had ended when the plan was made.
    """

    name = "snapshot-sent"
    call_class = CallClass.IDEMPOTENT
    ends_process = True
    ended: bool
    started: bool = False

    @property
    def action_text(self) -> str:
        return f"uploading the file of snapshot {self.id} to image server {self.image_server} again"

    async def look(self, reader: CachedReader) -> GoalState:
        if not self.started:
            seen = await super().look(reader)
            return replace(seen, sight=GoalStatus.UNMET) if seen.sight is GoalStatus.FAILED else seen
        listed = await reader.snapshots(self.route, self.vm)
        found_ = next((s for s in listed.value if s.name == self.id), None) if isinstance(listed, Known) else None
        progress = await reader.upload(self.route, found_.file) if found_ is not None else None
        if found_ is None or not isinstance(progress, Known):
            return unseen(listed if found_ is None else progress, "the upload is not shown")
        if progress.value.active:
            key, now = (self.route.target, self.vm, self.id), asyncio.get_running_loop().time()
            reader.courses[key] = reader.courses.get(key, UploadProgress()).at(now, progress.value.percent)
            return await self.uploading(reader, progress.value.percent)
        return await self.stored(reader, PurePosixPath(found_.file).name)

    def begins(self) -> Goal:
        return replace(self, started=True)

    async def act(self, context: ActContext, reader: CachedReader) -> Outcome[Any]:
        found = await find_snapshot(reader, self.route, self.vm, self.id)
        if isinstance(found, Unreadable) or found.value is None:
            return NotSent("the snapshot is not listed")
        reader.courses[(self.route.target, self.vm, self.id)] = UploadProgress(before=asyncio.get_running_loop().time())
        body = requests.ImageUpload(image_filename=found.value.file, image_server=self.image_server)
        outcome = await images.upload_image(await context.connect(self.route), body)
        if isinstance(outcome, Refused) and outcome.message.endswith("not exist"):  # /tmp does not outlive its machine
            return replace(outcome, message=f"{outcome.message}: a new `trigger` takes another snapshot")
        return outcome
