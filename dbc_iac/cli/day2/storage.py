"""`disk`, `snapshot`, `image`: what is stored where, growing, fetching and sending, with progress."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import click

from dbc_iac.api import wire
from dbc_iac.api.endpoints import disks, images, snapshots, vms
from dbc_iac.api.outcome import Done, Outcome
from dbc_iac.api.storage import Progress
from dbc_iac.cli.app import App
from dbc_iac.cli.day2.answers import done, gib, problem, seen, table
from dbc_iac.cli.day2.scope import POLL_SECONDS, Scope, wait_option
from dbc_iac.cli.options import json_option, yes_option
from dbc_iac.diagnostics import ExitCode
from dbc_iac.kinds.reach import Reach
from dbc_iac.kinds.types import parse_gib
from dbc_iac.plan import Session

SETTLE_POLLS = 90
_WIDTH = 30


@click.group()
def disk() -> None:
    """Look at the disks of a VM, and grow them."""


@disk.command("list")
@click.argument("name", metavar="VM")
@json_option
@click.pass_obj
def disk_list(app: App, name: str, as_json: bool) -> None:
    """The disks of a VM, with the documents that manage them."""
    app.json = as_json
    scope = Scope(app)
    place = scope.vm(name)

    async def ask(session: Session) -> Any:
        return seen(await vms.vm_details(session.connect(place.reach), place.id), place.id)

    details = scope.work(ask)
    rows = [
        {
            "name": d.name,
            "size": gib(d.size_gib),
            "file": d.source_file,
            "address": scope.managed("Disk", d.source_file),
        }
        for d in (details.disks if details else ())
    ]
    app.show(table(("NAME", "SIZE", "FILE", "DOCUMENT"), [tuple(r.values()) for r in rows]), rows)


@disk.command("grow")
@click.argument("name", metavar="VM")
@click.argument("device", metavar="DISK")
@click.argument("by", metavar="+SIZE")
@wait_option
@yes_option
@json_option
@click.pass_obj
def disk_grow(app: App, name: str, device: str, by: str, wait: bool, yes: bool, as_json: bool) -> None:
    """Grow a disk of a VM that is off: `disk grow trainer vda +20Gi`. For the system disk there is no other way.

    The node shows a constant for vda until then. A repeat grows it again: after no certain answer, look first.
    """
    app.json = as_json
    try:
        added = parse_gib(by.removeprefix("+"))
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    if not by.startswith("+"):
        raise click.UsageError("write +SIZE: the node adds it to what there is")
    scope = Scope(app)
    place = scope.vm(name)
    scope.consent(yes, f"Grow {device} of {place.address or place.id} by {added} GiB?")

    async def ask(session: Session) -> dict[str, Any]:
        channel = session.connect(place.reach)
        before = await _size(channel, place.id, device)
        done(await disks.resize_disk(channel, place.id, wire.DiskResize(disk=device, add_gib=added)), f"grow {device}")
        after = before
        for _ in range(SETTLE_POLLS if wait else 0):
            after = await _size(channel, place.id, device)
            if after != before:
                break
            await asyncio.sleep(POLL_SECONDS)
        else:
            if wait:
                raise problem("still-waiting", f"{device} shows its old size yet", "Look later.", ExitCode.PARTIAL)
        return {"id": place.id, "disk": device, "added": f"{added}Gi", "size": after}

    value = scope.work(ask)
    text = f"{device} has {value['size']} now." if wait else f"Growing {device} by {added} GiB is accepted."
    app.show(text, value)


async def _size(channel: Any, task_id: str, device: str) -> str:
    details = seen(await vms.vm_details(channel, task_id), task_id)
    found = next((d for d in (details.disks if details else ()) if d.name == device), None)
    if found is None:
        raise problem("unknown-name", f"VM {task_id} has no disk {device}", "See `dbc-iac disk list`.")
    return gib(found.size_gib)


@click.group()
def snapshot() -> None:
    """Look at the snapshots of a VM."""


@snapshot.command("list")
@click.argument("name", metavar="VM")
@json_option
@click.pass_obj
def snapshot_list(app: App, name: str, as_json: bool) -> None:
    """The records on the node; `none` only means that nothing goes on."""
    app.json = as_json
    rows = _snapshots(Scope(app), name)
    keys = ("name", "status", "file", "created", "description")
    app.show(table([k.upper() for k in keys], [[r[k] for k in keys] for r in rows]), rows)


@snapshot.command("show")
@click.argument("name", metavar="VM")
@click.argument("snapshot_name", metavar="SNAPSHOT")
@json_option
@click.pass_obj
def snapshot_show(app: App, name: str, snapshot_name: str, as_json: bool) -> None:
    """One snapshot, and how far its upload is."""
    app.json = as_json
    scope = Scope(app)
    row = next((r for r in _snapshots(scope, name) if r["name"] == snapshot_name), None)
    if row is None:
        raise problem("unknown-name", f"there is no snapshot {snapshot_name}", "See `dbc-iac snapshot list`.")
    place = scope.vm(name)

    async def ask(session: Session) -> Progress | None:
        body = wire.ImageTransfer(image_filename=row["file"])
        outcome = await images.upload_progress(session.connect(place.reach), body)
        return outcome.value if isinstance(outcome, Done) else None

    progress = scope.work(ask) if row["status"] == "uploading" else None
    row["uploaded"] = f"{progress.percent}%" if progress is not None else ""
    app.show("\n".join(f"{k:<12} {v}" for k, v in row.items() if v), row)


def _snapshots(scope: Scope, name: str) -> list[dict[str, Any]]:
    place = scope.vm(name)

    async def ask(session: Session) -> Any:
        return seen(await snapshots.list_snapshots(session.connect(place.reach), place.id), place.id)

    return [
        {"name": s.name, "status": s.status, "file": s.file, "created": s.create_time, "description": s.description}
        for s in scope.work(ask)
    ]


@click.group()
def image() -> None:
    """Look at images of nodes and image centres, fetch and send them."""


@image.command("list")
@click.option("--node", default="", metavar="NODE", help="Files on this node.")
@click.option("--centre", default="", metavar="ID", help="Files in this image centre.")
@json_option
@click.pass_obj
def image_list(app: App, node: str, centre: str, as_json: bool) -> None:
    """Image files of a node or of a centre; without either the ids of the centres."""
    app.json = as_json
    scope = Scope(app)
    reach = scope.images(scope.node(node) if node else scope.client())

    async def ask(session: Session) -> list[dict[str, str]]:
        channel = session.connect(reach)
        if not node and not centre:
            return [{"centre": c} for c in seen(await images.list_image_servers(channel), "image centres")]
        body = wire.ImageCentre(image_server=centre) if centre else None
        if node:
            found = seen(await images.list_node_images(channel, body), node)
        else:
            assert body is not None  # noqa: S101 - a centre was named
            found = seen(await images.list_centre_images(channel, body), centre)
        return [
            {"file": i.name, "size": f"{float(i.size_gib):.4g}Gi" if i.size_gib is not None else "?"} for i in found
        ]

    rows = scope.work(ask)
    app.show(
        table([k.upper() for k in (rows[0] if rows else ("file", "size"))], [tuple(r.values()) for r in rows]), rows
    )


Transfer = Callable[[Any], Awaitable[Outcome[None]]]
Ask = Callable[[Any], Awaitable[Outcome[Progress]]]


@image.command("download")
@click.argument("file")
@click.option("--node", required=True, metavar="NODE")
@click.option("--centre", required=True, metavar="ID", help="Image centre.")
@click.option("--dir", "folder", default="/data", show_default=True, help="Only what is in /data can be used.")
@wait_option
@yes_option
@json_option
@click.pass_obj
def image_download(
    app: App, file: str, node: str, centre: str, folder: str, wait: bool, yes: bool, as_json: bool
) -> None:
    """Fetch an image to a node. A file of the same name is overwritten, also under VMs that use it."""
    app.json = as_json
    scope = Scope(app)
    reach = scope.images(scope.node(node))
    scope.consent(yes, f"Fetch {file} from {centre} to {folder} of {reach.name}, over a file of that name?")
    body = wire.ImageDownload(image_filename=file, image_server=centre, local_dir=folder)
    asked = wire.ImageTransfer(image_filename=file)
    _transfer(
        scope, reach, file, lambda c: images.download_image(c, body), lambda c: images.download_progress(c, asked), wait
    )


@image.command("upload")
@click.argument("file")
@click.option("--node", required=True, metavar="NODE")
@click.option("--centre", required=True, metavar="ID", help="Image centre.")
@wait_option
@yes_option
@json_option
@click.pass_obj
def image_upload(app: App, file: str, node: str, centre: str, wait: bool, yes: bool, as_json: bool) -> None:
    """Send a file of a node's /data to an image centre. When that is done the node's process ends, and is restarted."""
    app.json = as_json
    scope = Scope(app)
    reach = scope.images(scope.node(node))
    scope.consent(yes, f"Send {file} of {reach.name} to {centre}? The node's process ends when it is done.")
    path = file if file.startswith("/") else f"/data/{file}"
    body = wire.ImageUpload(image_filename=path, image_server=centre)
    asked = wire.ImageTransfer(image_filename=path)
    _transfer(
        scope, reach, file, lambda c: images.upload_image(c, body), lambda c: images.upload_progress(c, asked), wait
    )


def _transfer(scope: Scope, reach: Reach, file: str, begin: Transfer, progress: Ask, wait: bool) -> None:
    app = scope.app

    async def ask(session: Session) -> None:
        channel = session.connect(reach)
        done(await begin(channel), file)
        while wait:
            at = await progress(channel)
            if not isinstance(at, Done) or not at.value.active:
                return
            if not app.json:
                app.runtime.tell(_bar(at.value.percent))
            await asyncio.sleep(POLL_SECONDS)

    scope.work(ask)
    text = "has ended: look whether it is there, with its size" if wait else "is under way"
    app.show(f"The transfer of {file} {text}.", {"file": file, "node": reach.name, "waited": wait})


def _bar(percent: int) -> str:
    full = _WIDTH * percent // 100
    return f"[{'#' * full}{'.' * (_WIDTH - full)}] {percent:3d}%"


@image.command("stop")
@click.argument("file")
@click.option("--node", required=True, metavar="NODE")
@click.option("--upload", is_flag=True, help="An upload (FILE as its absolute path), not a download.")
@yes_option
@json_option
@click.pass_obj
def image_stop(app: App, file: str, node: str, upload: bool, yes: bool, as_json: bool) -> None:
    """Stop a transfer. The node says ok also where there is none."""
    app.json = as_json
    scope = Scope(app)
    reach = scope.images(scope.node(node))
    scope.consent(yes, f"Stop the transfer of {file}?")
    path = file if not upload or file.startswith("/") else f"/data/{file}"
    body = wire.ImageTransfer(image_filename=path)

    async def ask(session: Session) -> None:
        call = images.stop_upload if upload else images.stop_download
        done(await call(session.connect(reach), body), file)

    scope.work(ask)
    app.show(f"The transfer of {file} is stopped, if there was one.", {"file": file})
