"""`snapshot`: the snapshots of a VM, how far an upload is, and whether the file is in an image centre."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import click

from dbc_iac.api.calls import CallClass
from dbc_iac.api.endpoints import snapshots
from dbc_iac.api.outcome import Done, Outcome
from dbc_iac.api.storage import SnapshotView
from dbc_iac.cli.app import App
from dbc_iac.cli.day2 import names
from dbc_iac.cli.day2.console import Console, run
from dbc_iac.cli.day2.ends import failed, read, still, until
from dbc_iac.cli.day2.names import Found, Where, where_options
from dbc_iac.cli.day2.options import wait_options
from dbc_iac.cli.day2.progress import progress
from dbc_iac.cli.options import json_option
from dbc_iac.kinds.centre import through_image_client
from dbc_iac.kinds.goal import Goal, Hands, Seen, Sight
from dbc_iac.kinds.reach import Reach
from dbc_iac.kinds.reader import Known, Reader, Unreadable
from dbc_iac.kinds.snapshot import find_snapshot
from dbc_iac.report.views import card, members, table
from dbc_iac.values import Json


@click.group()
def command() -> None:
    """Snapshots of VMs: list, show."""


@command.command("list")
@click.argument("vm")
@where_options
@json_option
@click.pass_obj
def list_snapshots(app: App, /, vm: str, as_json: bool, **where: str) -> None:
    """The snapshots of a VM, oldest first."""

    async def work(console: Console) -> tuple[SnapshotView, ...]:
        found = await names.vm(console, vm, Where(**where))
        return read(await snapshots.list_snapshots(console.channel(found.reach), found.id), "the snapshots")

    rows = run(app, as_json, work)
    lines = [(s.name, s.status, s.create_time, PurePosixPath(s.file).name, s.description) for s in rows]
    shown = table(("NAME", "STATUS", "CREATED", "FILE", "DESCRIPTION"), lines)
    app.show(shown if rows else "There is no snapshot.", [members(s) for s in rows])


@command.command("show")
@click.argument("vm")
@click.argument("name", metavar="SNAPSHOT")
@where_options
@wait_options
@json_option
@click.pass_obj
def show_snapshot(app: App, /, vm: str, name: str, wait: bool, timeout: float, as_json: bool, **where: str) -> None:
    """One snapshot of a VM, and the image centres that have its file. SNAPSHOT is a name, or a document's.

    With --wait until its file is in an image centre: the node's own status does not prove it.
    """

    async def work(console: Console) -> tuple[SnapshotView, list[str]]:
        found = await names.vm(console, vm, Where(**where))
        wanted = _named(console, name)
        view = read(await snapshots.snapshot(console.channel(found.reach), found.id, wanted), f"snapshot {wanted}")
        if view is None:
            raise failed("not-found", f"{found.label} has no snapshot {wanted}", remedy="See `snapshot list`.")
        if wait:
            await _arrived(app, console, found, view, timeout)
            view = read(await snapshots.snapshot(console.channel(found.reach), found.id, wanted), f"snapshot {wanted}")
        assert view is not None  # noqa: S101 - it was there, and waited for
        reach = through_image_client(found.reach, console.inventory)
        having, unreadable = await centres_with(console.reader, reach, view.file)
        for why in unreadable:
            console.warn("unreadable", why)
        return view, having

    view, centres = run(app, as_json, work)
    more: list[Json] = [*centres]
    text = card(view.name, {
        "status": view.status, "created": view.create_time, "file": view.file, "description": view.description,
        "in image centres": ", ".join(centres) or "none",
    })  # fmt: skip
    app.show(text, members(view, imageCentres=more))


def _named(console: Console, name: str) -> str:
    """The name on the node: that of the Snapshot document, or as it is."""
    binding = console.state.bindings.get(f"Snapshot/{name.removeprefix('Snapshot/')}")
    return binding.id if binding is not None else name


async def _arrived(app: App, console: Console, found: Found, view: SnapshotView, wait: float) -> None:
    """Wait until the file is in an image centre, any of those that the client node knows."""
    reach = through_image_client(found.reach, console.inventory)
    goal = Stored(address=found.label, reach=reach, id=view.name, vm=found.id)
    with progress(app, f"upload of {view.name}") as moved:

        async def told(seen: Seen) -> None:
            reading = await console.reader.upload(reach, view.file)  # read by the look already
            if seen.sight is Sight.WAITING and isinstance(reading, Known) and reading.value.active:
                moved(reading.value.percent)

        seen = await until(console, goal, wait, told)
    if seen.sight is Sight.FAILED:
        raise failed("failed", f"snapshot {view.name}: {seen.text}")
    if seen.sight is not Sight.MET:
        raise still(f"snapshot {view.name}", seen.text, wait, f"dbc-iac snapshot show {found.label} {view.name}")


@dataclass(frozen=True, kw_only=True)
class Stored(Goal):
    """The file of a snapshot is in one of the image centres that the client node knows."""

    name = "snapshot-stored"
    call_class = CallClass.READ

    @property
    def text(self) -> str:
        return f"the file of snapshot {self.id} is in an image centre"

    async def look(self, reader: Reader) -> Seen:
        found = await find_snapshot(reader, self.reach, self.vm, self.id)
        if isinstance(found, Unreadable) or found.value is None:
            return Seen(Sight.UNKNOWN, "the snapshot is not listed")
        if found.value.status != "none":
            await reader.upload(self.reach, found.value.file)
            return Seen(Sight.WAITING, f"is {found.value.status}")
        having, unreadable = await centres_with(reader, self.reach, found.value.file)
        if having:
            return Seen(Sight.MET, ", ".join(having))
        return (
            Seen(Sight.UNKNOWN, unreadable[0]) if unreadable else Seen(Sight.FAILED, "no image centre lists its file")
        )

    async def act(self, hands: Hands, reader: Reader) -> Outcome[Any]:
        return Done(None)  # the upload goes on by itself


async def centres_with(reader: Reader, reach: Reach, file: str) -> tuple[list[str], list[str]]:
    """The image centres that list a file, and why others could not be read."""
    known = await reader.image_servers(reach)
    if isinstance(known, Unreadable):
        return [], [known.reason]
    having: list[str] = []
    unreadable: list[str] = []
    for server in known.value:
        listed = await reader.centre(reach, server)
        if isinstance(listed, Unreadable):
            unreadable.append(f"image centre {server} cannot be read: {listed.reason}")
        elif PurePosixPath(file).name in listed.value:
            having.append(server)
    return having, unreadable
