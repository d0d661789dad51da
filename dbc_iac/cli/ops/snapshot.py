"""`snapshot`: snapshots of a VM, the progress of uploads, and the image servers with their files."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

import click

from dbc_iac.address import Address
from dbc_iac.api.endpoints import snapshots
from dbc_iac.api.idempotency import CallClass
from dbc_iac.api.outcome import Done, Outcome
from dbc_iac.api.storage_responses import SnapshotView
from dbc_iac.cli.app import App
from dbc_iac.cli.completions import names
from dbc_iac.cli.ops import lookup
from dbc_iac.cli.ops.console import Console, run
from dbc_iac.cli.ops.lookup import ResolvedTarget, TargetOptions, vm_argument, where_options
from dbc_iac.cli.ops.options import wait_options
from dbc_iac.cli.ops.outcomes import failed, not_finished, poll_goal, read, retry_remedy
from dbc_iac.cli.ops.progress import progress
from dbc_iac.cli.options import json_option
from dbc_iac.diagnostics import ExitCode
from dbc_iac.json import Json
from dbc_iac.kinds.framework.cached_reader import CachedReader, Known, Unreadable
from dbc_iac.kinds.framework.goal import ActContext, Goal, GoalState, GoalStatus
from dbc_iac.kinds.framework.route import Route
from dbc_iac.kinds.images.image_server import through_image_client
from dbc_iac.kinds.snapshots.snapshot import find_snapshot
from dbc_iac.views.text.tables import members, object_text, table


@click.group()
def command() -> None:
    """Snapshots of VMs: list, show."""


@command.command("list")
@vm_argument
@where_options
@json_option
@click.pass_obj
def list_snapshots(app: App, /, vm: str, **where: str) -> None:
    """List the snapshots of a VM, oldest first."""

    async def work(console: Console) -> tuple[SnapshotView, ...]:
        found = await lookup.vm(console, vm, TargetOptions(**where))
        return read(await snapshots.list_snapshots(console.channel(found.route), found.id), "the snapshots")

    rows = run(app, work)
    lines = [(s.name, s.status, s.create_time, PurePosixPath(s.file).name, s.description) for s in rows]
    shown = table(("NAME", "STATUS", "CREATED", "FILE", "DESCRIPTION"), lines)
    app.show(shown if rows else "There is no snapshot.", [members(s) for s in rows])


@command.command("show")
@vm_argument
@click.argument("name", metavar="SNAPSHOT", shell_complete=names("Snapshot"))
@where_options
@wait_options
@json_option
@click.pass_obj
def show_snapshot(app: App, /, vm: str, name: str, wait: float | None, **where: str) -> None:
    """Show one snapshot of a VM, and the image servers that have its file. SNAPSHOT is a name.

    --wait waits until its file is on an image server; the node's own status does not prove that.
    """

    async def work(console: Console) -> tuple[SnapshotView, list[str], list[str]]:
        found = await lookup.vm(console, vm, TargetOptions(**where))
        wanted = _named(console, name)
        view = read(await snapshots.snapshot(console.channel(found.route), found.id, wanted), f"snapshot {wanted}")
        if view is None:
            raise failed(
                "not-found",
                f"{found.label} has no snapshot {wanted}",
                remedy=f"Run `dbc-iac snapshot list {found.label}`.",
            )
        if wait is not None:
            await _arrived(app, console, found, view, wait)
            view = read(await snapshots.snapshot(console.channel(found.route), found.id, wanted), f"snapshot {wanted}")
        assert view is not None  # noqa: S101 - it was there, and waited for
        route = through_image_client(found.route, console.inventory)
        having, unreadable = await image_servers_with(console.reader, route, view.file)
        for why in unreadable:
            console.warn("unreadable", why, remedy=retry_remedy(why))
        return view, having, unreadable

    view, image_servers, unreadable = run(app, work)
    more: list[Json] = [*image_servers]
    text = object_text(view.name, {
        "status": view.status, "created": view.create_time, "file": view.file, "description": view.description,
        "image servers": ", ".join(image_servers) or ("unknown" if unreadable else "none"),
    })  # fmt: skip
    app.show(text, members(view, imageServers=more))
    if unreadable:
        raise click.exceptions.Exit(ExitCode.ERROR)


def _named(console: Console, name: str) -> str:
    """Name on the node: of the managed Snapshot, or the given one."""
    binding = console.state.bindings.get(Address.given("Snapshot", name))
    return binding.id if binding is not None else name


async def _arrived(app: App, console: Console, found: ResolvedTarget, view: SnapshotView, wait: float) -> None:
    """Wait until the file is in any image server of the client node."""
    route = through_image_client(found.route, console.inventory)
    goal = Stored(address=found.label, route=route, id=view.name, vm=found.id)
    with progress(app, f"upload of {view.name}") as moved:

        async def on_reading(seen: GoalState) -> None:
            reading = await console.reader.upload(route, view.file)  # read by the look already
            if seen.sight is GoalStatus.WAITING and isinstance(reading, Known) and reading.value.active:
                moved(reading.value.percent)

        seen = await poll_goal(console, goal, wait, on_reading)
    if seen.sight is GoalStatus.FAILED:
        raise failed("failed", f"snapshot {view.name}: {seen.text}", remedy=f"Run `dbc-iac vm logs {found.label}`.")
    if seen.sight is not GoalStatus.MET:
        raise not_finished(f"snapshot {view.name}", seen.text, wait, f"dbc-iac snapshot show {found.label} {view.name}")


class Stored(Goal, frozen=True, kw_only=True):
    """The file of a snapshot is in an image server of the client node."""

    name = "snapshot-stored"
    call_class = CallClass.READ

    @property
    def action_text(self) -> str:
        return f"uploading the file of snapshot {self.id}"

    async def look(self, reader: CachedReader) -> GoalState:
        found = await find_snapshot(reader, self.route, self.vm, self.id)
        if isinstance(found, Unreadable) or found.value is None:
            return GoalState(GoalStatus.UNKNOWN, "the snapshot is not listed")
        if found.value.status != "none":
            await reader.upload(self.route, found.value.file)
            return GoalState(GoalStatus.WAITING, found.value.status)
        having, unreadable = await image_servers_with(reader, self.route, found.value.file)
        if having:
            return GoalState(GoalStatus.MET, ", ".join(having))
        return (
            GoalState(GoalStatus.UNKNOWN, unreadable[0])
            if unreadable
            else GoalState(GoalStatus.FAILED, "no image server lists its file")
        )

    async def act(self, context: ActContext, reader: CachedReader) -> Outcome[Any]:
        return Done(None)  # the upload goes on by itself


async def image_servers_with(reader: CachedReader, route: Route, file: str) -> tuple[list[str], list[str]]:
    """Image servers that list a file, and the reasons of those that cannot be read."""
    known = await reader.image_servers(route)
    if isinstance(known, Unreadable):
        return [], [known.reason]
    having: list[str] = []
    unreadable: list[str] = []
    for server in known.value:
        listed = await reader.image_server(route, server)
        if isinstance(listed, Unreadable):
            unreadable.append(f"cannot read image server {server}: {listed.reason}")
        elif PurePosixPath(file).name in listed.value:
            having.append(server)
    return having, unreadable
