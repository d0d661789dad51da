"""`image`: image files of centres and nodes, and moving them between the two. "Done" proves nothing: the lists do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import click

from dbc_iac.api import wire
from dbc_iac.api.calls import CallClass
from dbc_iac.api.endpoints import images
from dbc_iac.api.outcome import Done, Outcome
from dbc_iac.api.storage import StoredImage, stored_size
from dbc_iac.cli.app import App
from dbc_iac.cli.day2 import names
from dbc_iac.cli.day2.console import Console, run
from dbc_iac.cli.day2.ends import accepted, bring_about, failed, read
from dbc_iac.cli.day2.names import Where, where_options
from dbc_iac.cli.day2.options import patience, wait_options
from dbc_iac.cli.day2.progress import progress
from dbc_iac.cli.options import json_option, yes_option
from dbc_iac.diagnostics import Diagnostic, DiagnosticError, ExitCode, Severity
from dbc_iac.kinds.centre import through_image_client
from dbc_iac.kinds.files import FileAt
from dbc_iac.kinds.goal import Goal, Hands, Seen, Sight
from dbc_iac.kinds.image import ImageExists, ImageSpec
from dbc_iac.kinds.image_export import ExportExists
from dbc_iac.kinds.reach import Reach
from dbc_iac.kinds.reader import Known, Reader, Unreadable
from dbc_iac.plan.standing import users_of
from dbc_iac.report.views import members, table
from dbc_iac.values import Json

centre_option = click.option("--centre", default="", metavar="ID", help="Image centre; default: the only one.")
overwrite_option = click.option("--overwrite", is_flag=True, help="Also where a file of that name is there already.")
DATA = "/data"


@click.group()
def command() -> None:
    """Image files: list, download, upload, stop."""


@command.command("list")
@centre_option
@where_options
@json_option
@click.pass_obj
def list_images(app: App, /, centre: str, node: str, as_json: bool, **where: str) -> None:
    """The files of the image centres; with --node those of a node.

    A node hides files with `data` in the name and those of running VMs; those that were made from another image it
    lists only when the centre of --centre has them, too.
    """

    async def work(console: Console) -> list[tuple[str, StoredImage]]:
        if node:
            reach = through_image_client(names.node(console, Where(node, **where)), console.inventory)
            body = wire.ImageCentre(image_server=centre) if centre else None
            found = read(await images.list_node_images(console.public(reach), body), f"the images of {reach.name}")
            return [(reach.name, one) for one in found]
        rows: list[tuple[str, StoredImage]] = []
        for one in [centre] if centre else await _centres(console):
            listed = await images.list_centre_images(_client(console), wire.ImageCentre(image_server=one))
            if isinstance(listed, Done):
                rows += [(one, image) for image in listed.value]
            else:
                console.warn("unreadable", f"image centre {one} cannot be read: {listed.message}")
        return rows

    rows = run(app, as_json, work)
    shown = [_row(where, image) for where, image in rows]
    lines = [(where, image.name, stored_size(image.size_gib)) for where, image in rows]
    app.show(table(("WHERE", "FILE", "SIZE"), lines) if rows else "No image file is listed.", shown)


def _row(where: str, image: StoredImage) -> dict[str, Json]:
    """With the size in bytes, too, as far as the node's rounding tells: a small file has no GiB to speak of."""
    size = None if image.size_gib is None else round(image.size_gib * 1024**3)
    return members(image, where=where, sizeBytes=size)


def _client(console: Console) -> Any:
    """The one client node whose ids of image centres are meant."""
    return console.client(console.inventory.image_client)


async def _centres(console: Console) -> tuple[str, ...]:
    return read(await images.list_image_servers(_client(console)), "the image centres")


@dataclass(frozen=True, slots=True)
class Transfer:
    """A file between a node and a centre. `address` is that of the Image document, where one is meant."""

    file: str
    reach: Reach
    centre: str
    address: str = ""

    @property
    def label(self) -> str:
        return self.address or self.file


async def _transfer(console: Console, name: str, centre: str, where: Where) -> Transfer:
    """A file by its name, or by that of an Image, which says node and centre, too. Raises DiagnosticError."""
    document = console.inventory.find("Image", name.removeprefix("Image/"))
    spec = document.spec if document is not None else None
    file = name
    if document is not None and isinstance(spec, ImageSpec):
        binding = console.state.bindings.get(document.address)
        file = spec.file or (binding.id if binding is not None else "")
        if not file:
            raise failed("not-applied", f"the file of {document.address} is not known yet", remedy="Apply it first.")
        where, centre = replace(where, node=where.node or spec.node), centre or spec.image_server
    reach = through_image_client(names.node(console, where), console.inventory)
    known = await _centres(console)
    if not centre and len(known) == 1:
        centre = known[0]
    if centre not in known:
        raise DiagnosticError(
            Diagnostic(
                "unknown-image-server", Severity.ERROR,
                f"the client node knows no image centre {centre}" if centre else "which image centre is not said",
                remedy=f"Use --centre with one of: {', '.join(known) or 'none is configured'}.",
            )
        )  # fmt: skip
    return Transfer(file, reach, centre, document.address if document is not None else "")


@command.command("download")
@click.argument("name", metavar="IMAGE")
@click.option("--dir", "directory", default=DATA, show_default=True, help="Directory on the host.")
@overwrite_option
@centre_option
@where_options
@wait_options
@yes_option
@json_option
@click.pass_obj
def download(
    app: App,
    /,
    name: str,
    directory: str,
    overwrite: bool,
    centre: str,
    wait: bool,
    timeout: float,
    yes: bool,
    as_json: bool,
    **where: str,
) -> None:
    """Fetch a file of an image centre to a node. IMAGE is a file name, or the name of an Image.

    With --wait until the node lists it with the centre's size. Outside of /data a file can be neither listed nor
    deleted through the API, and no VM can be made from it.
    """

    async def work(console: Console) -> tuple[Transfer, str]:
        of = await _transfer(console, name, centre, Where(**where))
        body = wire.ImageDownload(image_filename=of.file, image_server=of.centre, local_dir=directory)
        goal: Goal
        if directory == DATA:
            goal = ImageExists(address=of.label, reach=of.reach, id=of.file, image_server=of.centre)
            if not overwrite and (done := await _there(console, goal, of)):
                return of, done
            _warn_of_users(console, of)
        else:
            goal = DownloadEnded(address=of.label, reach=of.reach, id=of.file)
        with console.changing(f"Fetch {of.file} from {of.centre} to {of.reach.name}?", "image download"):
            outcome = await images.download_image(console.channel(of.reach), body)
        return of, await _followed(app, console, goal, of, outcome, patience(wait, timeout))

    of, status = run(app, as_json, work, yes=yes)
    app.show(f"{of.label}: {status}", {"file": of.file, "imageServer": of.centre, "status": status})


async def _there(console: Console, goal: Goal, of: Transfer) -> str:
    """What to say where nothing is to be done. Raises DiagnosticError where a download would overwrite something."""
    seen = await goal.look(console.reader)
    if seen.sight is Sight.MET:
        return "is there already, as it is in the image centre"
    if seen.sight in {Sight.FAILED, Sight.UNKNOWN}:
        raise failed("unreadable", f"{of.label}: {seen.text}", "Nothing was sent.")
    if seen.sight is Sight.WAITING:
        return seen.text
    listed = await console.reader.node_images(of.reach, of.centre)
    users = users_of(FileAt(of.reach.target, of.file), console.inventory, console.state.bindings)
    if users or (isinstance(listed, Known) and of.file in listed.value):
        raise failed(
            "would-overwrite",
            f"another {of.file} is on {of.reach.name} already" if not users else _made_from(users, of),
            "A download overwrites a file of the same name, whoever uses it.",
            "Use --overwrite if that is meant.",
            ExitCode.REFUSED,
        )
    return ""


def _made_from(users: list[str], of: Transfer) -> str:
    return f"{', '.join(users)} {'is' if len(users) == 1 else 'are'} made from {of.file}"


def _warn_of_users(console: Console, of: Transfer) -> None:
    """Told before the question, and with --yes all the same."""
    users = users_of(FileAt(of.reach.target, of.file), console.inventory, console.state.bindings)
    if users:
        console.warn(
            "image-in-use",
            f"{_made_from(users, of)}, which is overwritten under them",
            detail="A disk holds only what differs from the image that it was made from: over another it is lost.",
            remedy="Use another file name for the new image, and make them anew from that.",
        )


async def _followed(
    app: App, console: Console, goal: Goal, of: Transfer, outcome: Outcome[None], wait: float | None
) -> str:
    """What became of a transfer; its progress is shown while it is waited for."""
    up = isinstance(goal, ExportExists)
    look = f"dbc-iac image list --centre {of.centre}" + ("" if up else f" --node {of.reach.name}")
    with progress(app, f"{'upload' if up else 'download'} of {of.file}") as moved:

        async def told(seen: Seen) -> None:
            # Both have been read by the look already.
            reader = console.reader
            found = await (reader.upload(of.reach, f"{DATA}/{of.file}") if up else reader.download(of.reach, of.file))
            if isinstance(found, Known) and found.value.active:
                moved(found.value.percent)
            elif seen.sight is Sight.MET:
                moved(100)

        end = await bring_about(console, goal, outcome, look, wait, told)
    return end if wait is None or isinstance(goal, DownloadEnded) else goal.text


@dataclass(frozen=True, kw_only=True)
class DownloadEnded(Goal):
    """Nothing is transferred any more. Whether the file is there cannot be seen outside of /data."""

    name = "download-ended"
    call_class = CallClass.IDEMPOTENT

    @property
    def text(self) -> str:
        return f"the download of {self.id} has ended"

    async def look(self, reader: Reader) -> Seen:
        found = await reader.download(self.reach, self.id)
        if isinstance(found, Unreadable):
            return Seen(Sight.UNKNOWN, found.reason)
        if found.value.active:
            return Seen(Sight.WAITING, f"is downloading ({found.value.percent}%)")
        return Seen(Sight.MET, "the download has ended; the API cannot show whether the file is there")

    async def act(self, hands: Hands, reader: Reader) -> Outcome[Any]:
        raise AssertionError("the command makes the call")


@command.command("upload")
@click.argument("name", metavar="IMAGE")
@overwrite_option
@centre_option
@where_options
@wait_options
@yes_option
@json_option
@click.pass_obj
def upload(
    app: App,
    /,
    name: str,
    overwrite: bool,
    centre: str,
    wait: bool,
    timeout: float,
    yes: bool,
    as_json: bool,
    **where: str,
) -> None:
    """Send a file in a node's /data to an image centre. IMAGE is a file name, or the name of an Image.

    With --wait until the centre lists it with the node's size.
    """

    async def work(console: Console) -> tuple[Transfer, str]:
        of = await _transfer(console, name, centre, Where(**where))
        goal = ExportExists(address=of.label, reach=of.reach, id=of.file, image_server=of.centre)
        if not overwrite:
            seen = await goal.look(console.reader)
            if seen.sight is Sight.MET:
                return of, "is there already, as it is on the node"
            stored = await console.reader.centre(of.reach, of.centre)
            if isinstance(stored, Known) and of.file in stored.value and seen.sight is Sight.UNMET:
                raise failed(
                    "would-overwrite", f"another {of.file} is in {of.centre} already",
                    remedy="Use --overwrite if that is meant.", exit_code=ExitCode.REFUSED,
                )  # fmt: skip
        console.warn(
            "node-ends",
            f"{of.reach.name}'s process may end when the upload ends, and is started again then",
            detail="One build of 0.4.1.8 did, another not. VMs run on; what is queued on the node would be lost.",
        )
        body = wire.ImageUpload(image_filename=f"{DATA}/{of.file}", image_server=of.centre)
        with console.changing(f"Send {of.file} from {of.reach.name} to {of.centre}?", "image upload"):
            outcome = await images.upload_image(console.channel(of.reach), body)
        return of, await _followed(app, console, goal, of, outcome, patience(wait, timeout))

    of, status = run(app, as_json, work, yes=yes)
    app.show(f"{of.label}: {status}", {"file": of.file, "imageServer": of.centre, "status": status})


@command.command("stop")
@click.argument("file")
@click.option("--upload", "up", is_flag=True, help="An upload; default: a download.")
@where_options
@yes_option
@json_option
@click.pass_obj
def stop(app: App, /, file: str, up: bool, yes: bool, as_json: bool, **where: str) -> None:
    """Ask the node to stop a transfer of FILE. Version 0.4.1.8 answers ok, and the transfer goes on to its end."""

    async def work(console: Console) -> str:
        reach = through_image_client(names.node(console, Where(**where)), console.inventory)
        path = file if file.startswith("/") or not up else f"{DATA}/{file}"
        look = "dbc-iac image list" if up else f"dbc-iac image list --node {reach.name}"
        body = wire.ImageTransfer(image_filename=path)
        ask, press = (
            (images.upload_progress, images.stop_upload) if up else (images.download_progress, images.stop_download)
        )
        if not read(await ask(console.channel(reach), body), f"the progress of {file}").active:
            return "nothing is transferred"
        with console.changing(f"Stop the transfer of {file}?", "image stop"):
            accepted(await press(console.channel(reach), body), f"stopping {file}", look)
        console.warn(
            "transfer-goes-on",
            f"the node has forgotten the transfer of {file}, which may go on to its end",
            detail="Version 0.4.1.8 ends a shell, not the program that it has started: the whole file arrives.",
            remedy=f"Look with `{look}` before the file is used or transferred again.",
        )
        return "accepted"

    status = run(app, as_json, work, yes=yes)
    app.show(f"{file}: {status}", {"file": file, "status": status})
