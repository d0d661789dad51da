"""Goals: the file of a snapshot is in the image centre, whole. Where nobody watched its upload, that is made again."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any

from dbc_iac.api import wire
from dbc_iac.api.calls import CallClass
from dbc_iac.api.endpoints import images
from dbc_iac.api.outcome import Done, NotSent, Outcome, Refused
from dbc_iac.api.storage import SnapshotView
from dbc_iac.kinds.course import Course
from dbc_iac.kinds.goal import Goal, Hands, Seen, Sight
from dbc_iac.kinds.reach import Reach
from dbc_iac.kinds.reader import Known, Reader, Unreadable
from dbc_iac.values import Json

CREATING, UPLOADING, IDLE = "creating", "uploading", "none"
ARRIVED = "arrived"
"""Kept as applied once the file has been seen to arrive."""
UNSEEN = "nobody saw its upload end: whether its file is whole cannot be told"
_AGAIN = "apply again: it is sent once more"


async def find_snapshot(reader: Reader, reach: Reach, vm: str, name: str) -> Known[SnapshotView | None] | Unreadable:
    """The oldest snapshot of that name, as the node finds it. What is seen of its upload is remembered."""
    listed = await reader.snapshots(reach, vm)
    key, now = (reach.target, vm, name), asyncio.get_running_loop().time()
    course = reader.courses.get(key, Course())
    if isinstance(listed, Unreadable):
        reader.courses[key] = course.missed()
        return listed
    found = next((s for s in listed.value if s.name == name), None)
    if found is None or found.status == CREATING:
        reader.courses[key] = course.not_begun(now)
    elif found.status == UPLOADING:
        progress = await reader.upload(reach, found.file)
        if isinstance(progress, Known) and progress.value.active:
            reader.courses[key] = course.at(now, progress.value.percent)
    return Known(found)


@dataclass(frozen=True, kw_only=True)
class SnapshotArrived(Goal):
    """Its file is in the image centre, and its upload was seen to go on until it had to be whole."""

    name = "snapshot-arrived"
    call_class = CallClass.READ
    late = True
    fields: Mapping[str, Json] = field(default_factory=lambda: {ARRIVED: True})
    image_server: str
    believed: bool = False
    """State was lost, and what it said of the upload with it."""

    @property
    def text(self) -> str:
        return f"the file of snapshot {self.id} is in {self.image_server}"

    async def look(self, reader: Reader) -> Seen:
        found = await find_snapshot(reader, self.reach, self.vm, self.id)
        if isinstance(found, Unreadable) or found.value is None:
            return Seen(Sight.UNKNOWN, "the snapshot is not listed")
        file = found.value.file
        if found.value.status != IDLE:
            progress = await reader.upload(self.reach, file)
            percent = f" ({progress.value.percent}%)" if isinstance(progress, Known) and progress.value.active else ""
            return Seen(Sight.WAITING, f"is {found.value.status}{percent}")
        return await self.stored(reader, PurePosixPath(file).name)

    async def stored(self, reader: Reader, file: str) -> Seen:
        """Of an upload that has ended: whether the centre has the file, and whether it can be whole."""
        key = (self.reach.target, self.vm, self.id)
        course = reader.courses.get(key, Course())
        listed = await reader.centre(self.reach, self.image_server)
        if isinstance(listed, Unreadable):  # one that died has cut the upload off
            reader.courses[key] = course.missed()
            return Seen(Sight.UNKNOWN, listed.reason)
        stored = listed.value.get(file)
        if stored is None or not stored.size_gib:
            return Seen(Sight.FAILED, f"its upload ended, and {file} is not in the image centre ({_AGAIN})")
        if self.believed or course.whole(asyncio.get_running_loop().time()):
            return Seen(Sight.MET)
        if not course.seen:
            return Seen(Sight.FAILED, f"{UNSEEN} ({_AGAIN})")
        text = f"its upload was at {course.percent}% when it was interrupted: {file} is not whole in the image centre"
        return Seen(Sight.FAILED, f"{text} ({_AGAIN})")

    async def act(self, hands: Hands, reader: Reader) -> Outcome[Any]:
        return Done(None)  # the upload goes on by itself


@dataclass(frozen=True, kw_only=True)
class SnapshotSent(SnapshotArrived):
    """Its file is there whole, or has been sent again from the copy that the node keeps: that completes it.

    For what an earlier run began, and nobody has watched since. `ended`: its upload had ended when the plan was made.
    """

    name = "snapshot-sent"
    call_class = CallClass.IDEMPOTENT
    ends_process = True
    ended: bool
    begun: bool = False

    @property
    def text(self) -> str:
        if self.ended:
            return f"the file of snapshot {self.id} has been sent again to {self.image_server}, whole"
        return f"the file of snapshot {self.id} is in {self.image_server}, sent once more if nobody saw it arrive"

    @property
    def deed(self) -> str:
        return f"sends the file of snapshot {self.id} to {self.image_server} again"

    async def look(self, reader: Reader) -> Seen:
        if not self.begun:
            seen = await super().look(reader)
            return replace(seen, sight=Sight.UNMET) if seen.sight is Sight.FAILED else seen
        listed = await reader.snapshots(self.reach, self.vm)
        found_ = next((s for s in listed.value if s.name == self.id), None) if isinstance(listed, Known) else None
        progress = await reader.upload(self.reach, found_.file) if found_ is not None else None
        if found_ is None or not isinstance(progress, Known):
            return Seen(Sight.UNKNOWN, "the upload cannot be seen")
        if progress.value.active:
            key, now = (self.reach.target, self.vm, self.id), asyncio.get_running_loop().time()
            reader.courses[key] = reader.courses.get(key, Course()).at(now, progress.value.percent)
            return Seen(Sight.WAITING, f"is uploading ({progress.value.percent}%)")
        return await self.stored(reader, PurePosixPath(found_.file).name)

    def begins(self) -> Goal:
        return replace(self, begun=True)

    async def act(self, hands: Hands, reader: Reader) -> Outcome[Any]:
        found = await find_snapshot(reader, self.reach, self.vm, self.id)
        if isinstance(found, Unreadable) or found.value is None:
            return NotSent("the snapshot is not listed")
        reader.courses[(self.reach.target, self.vm, self.id)] = Course(before=asyncio.get_running_loop().time())
        body = wire.ImageUpload(image_filename=found.value.file, image_server=self.image_server)
        outcome = await images.upload_image(hands.connect(self.reach), body)
        if isinstance(outcome, Refused) and outcome.message.endswith("not exist"):  # /tmp does not outlive its machine
            return replace(outcome, message=f"{outcome.message}: a new `trigger` takes another snapshot")
        return outcome
