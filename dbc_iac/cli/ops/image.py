"""`image`: list and transfer image files. A transfer is done when the file is listed with its full size."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import click
from msgspec import Struct
from msgspec.structs import replace

from dbc_iac.address import Address
from dbc_iac.api import requests
from dbc_iac.api.endpoints import images
from dbc_iac.api.idempotency import CallClass
from dbc_iac.api.outcome import Done, Outcome
from dbc_iac.api.responses import StoredImage
from dbc_iac.api.storage_responses import stored_size
from dbc_iac.cli.app import App
from dbc_iac.cli.completions import names
from dbc_iac.cli.ops import lookup
from dbc_iac.cli.ops.console import Console, run
from dbc_iac.cli.ops.lookup import TargetOptions, node_names, where_options
from dbc_iac.cli.ops.options import wait_options
from dbc_iac.cli.ops.outcomes import accepted, failed, read, retry_remedy, wait_for_goal
from dbc_iac.cli.ops.progress import progress
from dbc_iac.cli.options import json_option, yes_option
from dbc_iac.diagnostics import DiagnosticError, ExitCode, failure
from dbc_iac.json import Json
from dbc_iac.kinds.framework.cached_reader import CachedReader, Known, Unreadable
from dbc_iac.kinds.framework.goal import ActContext, Goal, GoalState, GoalStatus
from dbc_iac.kinds.framework.route import Route
from dbc_iac.kinds.images.files import FileAt
from dbc_iac.kinds.images.image import ImageExists, ImageSpec
from dbc_iac.kinds.images.image_export import ExportExists
from dbc_iac.kinds.images.image_server import through_image_client
from dbc_iac.plan.check.file_dependencies import users_of
from dbc_iac.views.text.tables import members, table

image_server_option = click.option(
    "--image-server", default="", metavar="ID", help="Image server; default: the only one."
)
overwrite_option = click.option("--overwrite", is_flag=True, help="Overwrite an existing file of that name.")
DATA = "/data"


@click.group()
def command() -> None:
    """Image files: list, download, upload, stop."""


@command.command("list")
@click.option(
    "--image-server", default="", metavar="ID", help="Image server; default: all, and with --node the only one."
)
@click.option("--node", default="", metavar="NAME|ID", shell_complete=node_names, help="List the files of this node.")
@json_option
@click.pass_obj
def list_images(app: App, /, image_server: str, node: str) -> None:
    """List the files of all image servers, or of --image-server; with --node those of a node.

    A node hides files with `data` in the name and those of running VMs. It lists a file with a base image only if the
    image server has it too: of several, name one with --image-server.
    """

    async def work(console: Console) -> list[dict[str, Json]]:
        known = await _image_servers(console)
        if image_server and image_server not in known:
            raise _unknown_image_server(image_server, known)
        if node:
            route = through_image_client(lookup.node(console, TargetOptions(node)), console.inventory)
            one = image_server or (known[0] if len(known) == 1 else "")
            body = requests.ImageServerFiles(image_server=one) if one else None
            found = read(await images.list_node_images(console.public(route), body), f"the images of {route.name}")
            return [_row(route.name, one) for one in found]
        rows: list[dict[str, Json]] = []
        for one in [image_server] if image_server else known:
            listed = await images.list_image_server_files(_client(console), requests.ImageServerFiles(image_server=one))
            if isinstance(listed, Done):
                rows += [_row(one, image) for image in listed.value]
            else:
                remedy = retry_remedy(f"image server {listed.message}")
                console.warn("unreadable", f"cannot read image server {one}: {listed.message}", remedy=remedy)
                rows.append({"where": one, "unreadable": listed.message})
        return rows

    rows = run(app, work)
    lines = [(row["where"], row["name"], _size(row["sizeBytes"])) for row in rows if "name" in row]
    unread = any("unreadable" in row for row in rows)
    app.show(table(("LOCATION", "FILE", "SIZE"), lines) if lines else _NONE[unread], rows)
    if unread:
        raise click.exceptions.Exit(ExitCode.ERROR)


_NONE = {False: "There is no image file.", True: "There is no image file in the image servers that could be read."}


def _row(where: str, image: StoredImage) -> dict[str, Json]:
    """A row with the size in bytes too, rounded as by the node: small files have 0 GiB."""
    size = None if image.size_gib is None else round(image.size_gib * 1024**3)
    return members(image, where=where, sizeBytes=size)


def _size(size: Any) -> str:
    return stored_size(None if size is None else Fraction(size, 1024**3))


def _client(console: Console) -> Any:
    """The client node that defines the ids of image servers."""
    return console.client(console.inventory.image_client)


async def _image_servers(console: Console) -> tuple[str, ...]:
    return read(await images.list_image_servers(_client(console)), "the image servers")


def _unknown_image_server(image_server: str, known: tuple[str, ...]) -> DiagnosticError:
    return failure(
        "unknown-image-server",
        f"unknown image server {image_server}" if image_server else "no image server given",
        remedy=f"Use --image-server with one of: {', '.join(known)}."
        if known
        else "Set `imageClient` in the project file to a client node that has image servers.",
    )


class Transfer(Struct, frozen=True):
    """A file between a node and an image server. `address`: of its Image, if it has one."""

    file: str
    route: Route
    image_server: str
    address: str = ""

    @property
    def label(self) -> str:
        return self.address or self.file


async def _transfer(console: Console, name: str, image_server: str, where: TargetOptions) -> Transfer:
    """Transfer of a file by its name, or by the name of an Image. Raises DiagnosticError."""
    document = console.inventory.resources.get(Address.given("Image", name))
    spec = document.spec if document is not None else None
    file = name
    if document is not None and isinstance(spec, ImageSpec):
        binding = console.state.bindings.get(document.address)
        file = spec.file or (binding.id if binding is not None else "")
        if not file:
            raise failed(
                "not-applied", f"the file of {document.address} is not known yet", remedy="Run `dbc-iac apply` first."
            )
        where, image_server = replace(where, node=where.node or spec.node), image_server or spec.image_server
    route = through_image_client(lookup.node(console, where), console.inventory)
    known = await _image_servers(console)
    if not image_server and len(known) == 1:
        image_server = known[0]
    if image_server not in known:
        raise _unknown_image_server(image_server, known)
    return Transfer(file, route, image_server, document.address if document is not None else "")


@command.command("download")
@click.argument("name", metavar="IMAGE", shell_complete=names("Image"))
@click.option("--dir", "directory", default=DATA, show_default=True, help="Directory on the host.")
@overwrite_option
@image_server_option
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
    image_server: str,
    wait: float | None,
    yes: bool,
    **where: str,
) -> None:
    """Download a file from an image server to a node. IMAGE is a file name, or the name of an Image.

    --wait waits until the node lists it with its full size. Files outside of /data can neither be listed nor deleted
    through the API, and no VM can be created from them.
    """

    async def work(console: Console) -> tuple[Transfer, str]:
        of = await _transfer(console, name, image_server, TargetOptions(**where))
        body = requests.ImageDownload(image_filename=of.file, image_server=of.image_server, local_dir=directory)
        goal: Goal
        if directory == DATA:
            goal = ImageExists(address=of.label, route=of.route, id=of.file, image_server=of.image_server)
            if not overwrite and (done := await _existing_copy_status(console, goal, of)):
                return of, done
            _warn_of_users(console, of)
        else:
            goal = DownloadEnded(address=of.label, route=of.route, id=of.file)
        with console.changing(
            f"Download {of.file} from image server {of.image_server} to {of.route.name}?", "image download"
        ):
            outcome = await images.download_image(console.channel(of.route), body)
        return of, await _followed(app, console, goal, of, outcome, wait)

    of, status = run(app, work, yes=yes)
    app.show(f"{of.label}: {status}", {"file": of.file, "imageServer": of.image_server, "status": status})


async def _existing_copy_status(console: Console, goal: Goal, of: Transfer) -> str:
    """Status if there is nothing to download. Raises DiagnosticError if a download would overwrite another file."""
    seen = await goal.look(console.reader)
    if seen.sight is GoalStatus.MET:
        return "already on the node, as in the image server"
    if seen.sight is GoalStatus.FAILED:
        show = f"Check its name with `dbc-iac image list --image-server {of.image_server}`."
        raise failed("not-found", seen.text, "Nothing was sent.", show)
    if seen.sight is GoalStatus.UNKNOWN:
        raise failed("unreadable", f"{of.label}: {seen.text}", "Nothing was sent.", retry_remedy(seen.text))
    if seen.sight is GoalStatus.WAITING:
        return seen.text
    listed = await console.reader.node_images(of.route, of.image_server)
    users = users_of(FileAt(of.route.target, of.file), console.inventory, console.state.bindings)
    if users or (isinstance(listed, Known) and of.file in listed.value):
        raise failed(
            "would-overwrite",
            f"{of.route.name} has another {of.file}",
            f"{_users(users)}A download overwrites a file of the same name, even if it is in use.",
            "Use --overwrite to overwrite it.",
            ExitCode.REFUSED,
        )
    return ""


def _users(users: list[str]) -> str:
    return f"{', '.join(users)} {'uses' if len(users) == 1 else 'use'} it. " if users else ""


def _warn_of_users(console: Console, of: Transfer) -> None:
    """Warn if the file is in use, before the approval."""
    users = users_of(FileAt(of.route.target, of.file), console.inventory, console.state.bindings)
    if users:
        console.warn(
            "image-in-use",
            f"{of.file} is in use and would be overwritten",
            detail=f"{_users(users)}A disk holds only its differences from the image: "
            "with another image its data is lost.",
            remedy="Use another file name for the new image, and replace the VMs and disks that use this one.",
        )


async def _followed(
    app: App, console: Console, goal: Goal, of: Transfer, outcome: Outcome[None], wait: float | None
) -> str:
    """Status of a transfer, with progress during the wait."""
    up = isinstance(goal, ExportExists)
    look = f"dbc-iac image list --image-server {of.image_server}" + ("" if up else f" --node {of.route.name}")
    with progress(app, f"{'upload' if up else 'download'} of {of.file}") as moved:

        async def on_reading(seen: GoalState) -> None:
            # Both are cached by the reading of the goal.
            reader = console.reader
            found = await (reader.upload(of.route, f"{DATA}/{of.file}") if up else reader.download(of.route, of.file))
            if isinstance(found, Known) and found.value.active:
                moved(found.value.percent)
            elif seen.sight is GoalStatus.MET:
                moved(100)

        end = await wait_for_goal(console, goal, outcome, look, wait, on_reading)
    return end if wait is None or isinstance(goal, DownloadEnded) else goal.done_text


class DownloadEnded(Goal, frozen=True, kw_only=True):
    """The download has ended. Files outside of /data are not listed."""

    name = "download-ended"
    call_class = CallClass.IDEMPOTENT

    @property
    def action_text(self) -> str:
        return f"downloading {self.id}"

    async def look(self, reader: CachedReader) -> GoalState:
        found = await reader.download(self.route, self.id)
        if isinstance(found, Unreadable):
            return GoalState(GoalStatus.UNKNOWN, found.reason)
        if found.value.active:
            return GoalState(GoalStatus.WAITING, f"downloading ({found.value.percent} %)")
        return GoalState(GoalStatus.MET, "download ended; the API does not list files outside of /data")

    async def act(self, context: ActContext, reader: CachedReader) -> Outcome[Any]:
        raise AssertionError("the command makes the call")


@command.command("upload")
@click.argument("name", metavar="IMAGE", shell_complete=names("Image"))
@overwrite_option
@image_server_option
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
    image_server: str,
    wait: float | None,
    yes: bool,
    **where: str,
) -> None:
    """Upload a file in a node's /data to an image server. IMAGE is a file name, or the name of an Image.

    --wait waits until the image server lists it with its full size.
    """

    async def work(console: Console) -> tuple[Transfer, str]:
        of = await _transfer(console, name, image_server, TargetOptions(**where))
        goal = ExportExists(address=of.label, route=of.route, id=of.file, image_server=of.image_server)
        if not overwrite:
            seen = await goal.look(console.reader)
            if seen.sight is GoalStatus.MET:
                return of, "already in the image server, as on the node"
            stored = await console.reader.image_server(of.route, of.image_server)
            if isinstance(stored, Known) and of.file in stored.value and seen.sight is GoalStatus.UNMET:
                raise failed(
                    "would-overwrite", f"image server {of.image_server} has another {of.file}",
                    remedy="Use --overwrite to overwrite it.", exit_code=ExitCode.REFUSED,
                )  # fmt: skip
        console.warn(
            "node-may-restart",
            f"the upload may restart the process of {of.route.name}",
            detail="Some builds of 0.4.1.8 do that. VMs keep running; queued jobs of the node would be lost.",
            remedy=f"Wait until `dbc-iac vm list --node {of.route.name}` shows no VM that is being created or changed.",
        )
        body = requests.ImageUpload(image_filename=f"{DATA}/{of.file}", image_server=of.image_server)
        with console.changing(
            f"Upload {of.file} from {of.route.name} to image server {of.image_server}?", "image upload"
        ):
            outcome = await images.upload_image(console.channel(of.route), body)
        return of, await _followed(app, console, goal, of, outcome, wait)

    of, status = run(app, work, yes=yes)
    app.show(f"{of.label}: {status}", {"file": of.file, "imageServer": of.image_server, "status": status})


@command.command("stop")
@click.argument("file")
@click.option("--upload", "up", is_flag=True, help="Stop an upload; default: a download.")
@where_options
@yes_option
@json_option
@click.pass_obj
def stop(app: App, /, file: str, up: bool, yes: bool, **where: str) -> None:
    """Ask the node to stop a transfer of FILE. Version 0.4.1.8 answers ok and continues the transfer."""

    async def work(console: Console) -> str:
        route = through_image_client(lookup.node(console, TargetOptions(**where)), console.inventory)
        path = file if file.startswith("/") or not up else f"{DATA}/{file}"
        look = "dbc-iac image list" if up else f"dbc-iac image list --node {route.name}"
        body = requests.ImageTransfer(image_filename=path)
        ask, press = (
            (images.upload_progress, images.stop_upload) if up else (images.download_progress, images.stop_download)
        )
        if not read(await ask(console.channel(route), body), f"the progress of {file}").active:
            return "no transfer in progress"
        with console.changing(f"Stop the transfer of {file}?", "image stop"):
            accepted(await press(console.channel(route), body), f"stopping {file}", look)
        console.warn(
            "transfer-goes-on",
            f"the transfer of {file} may continue",
            detail="The node no longer tracks it. Version 0.4.1.8 stops only the shell that started the transfer; "
            "the transfer itself continues.",
            remedy=f"Check with `{look}` before the file is used or transferred again.",
        )
        return "accepted"

    status = run(app, work, yes=yes)
    app.show(f"{file}: {status}", {"file": file, "status": status})
