"""Image requests of a node: lists, downloads, uploads, delete. Files of `/data` and of the image servers.

Use of a file is not checked: a download overwrites a base image, a delete removes it.
"""

from __future__ import annotations

from dbc_iac.emulator.gpu.ctext import text_of
from dbc_iac.emulator.gpu.image_servers import ImageServer
from dbc_iac.emulator.gpu.machine import Machine
from dbc_iac.emulator.gpu.paste import OK, Refused, array, fields, spaced, tight
from dbc_iac.emulator.gpu.request import Caller, NodeRequest
from dbc_iac.emulator.gpu.sizes import format_bytes
from dbc_iac.emulator.gpu.states import DomainState
from dbc_iac.emulator.gpu.transfers import Transfer
from dbc_iac.emulator.reply import ProcessDied, Reply


async def show(machine: Machine, caller: Caller | None, request: NodeRequest) -> Reply:
    """List images. The key really ends with a colon. An unauthorised caller sees fewer."""
    images = await share_images(machine, request.image_server)
    if caller is not None:
        own = sorted(_own_system_disks(machine, caller.wallet))
        names = {name for name, _ in own}
        images = [image for image in images if image[0] not in names] + own
    return spaced(array(fields({"image_name:": name, "image_size": format_bytes(size)}) for name, size in images))


async def share_images(machine: Machine, image_server_id: str) -> list[tuple[str, int]]:
    """Names and bytes: files without a base, and those also on the image server; none of a running VM."""
    used = _names_in_use(machine)
    plain, based = [], set()
    for name, file in machine.files.in_directory("/data"):
        if not name.endswith(".qcow2") or "data" in name or name in used:
            continue
        if file.base:
            based.add(name)
        else:
            plain.append((name, file.size))
    image_server = machine.image_servers.get(image_server_id) if image_server_id else None
    if image_server is None:
        return plain
    await _ask(machine, image_server)
    return plain + [(name, size) for name, size in image_server.listing() if name in based]


async def download(machine: Machine, caller: Caller, request: NodeRequest) -> Reply:
    name = _file_name(request)
    directory = text_of(request.additional, "local_dir")
    if not directory:
        raise Refused("additional no local_dir")
    image_server = await _listed(machine, request)
    if name not in dict(image_server.listing()):
        raise Refused(f"image:{name} not exist")
    if name in machine.transfers.downloads:
        raise Refused(f"image:{name} in downloading")
    await machine.clock.sleep(machine.spec.durations.image_server)
    expected = image_server.listed_size(name)
    if expected is None:
        raise Refused("query image file size failed")
    machine.transfers.download(image_server, name, directory, expected, request.breaks)
    return spaced(OK)


async def download_progress(machine: Machine, caller: Caller, request: NodeRequest) -> Reply:
    return _progress(machine, machine.transfers.downloads, _file_name(request), "downloading")


async def stop_download(machine: Machine, caller: Caller, request: NodeRequest) -> Reply:
    machine.transfers.stop_download(_file_name(request))
    return tight(OK)


async def upload(machine: Machine, caller: Caller, request: NodeRequest) -> Reply:
    """Start an upload, known by its absolute path to progress and stop."""
    name = text_of(request.additional, "image_filename")
    if not name:
        raise Refused("image_filename is empty")
    path = name if name.startswith("/") else f"/data/{name}"
    if not machine.files.exists(path):
        raise Refused(f"image:{name} not exist")
    if path in machine.transfers.uploads:
        raise Refused(f"image:{name} in uploading")
    image_server = machine.image_servers.get(request.image_server)
    if image_server is None:
        raise Refused("image server is invalid")
    if machine.files.is_directory(path):
        raise ProcessDied(f"size of a directory: {path}")
    machine.transfers.upload(image_server, path, breaks=request.breaks)
    return spaced(OK)


async def upload_progress(machine: Machine, caller: Caller, request: NodeRequest) -> Reply:
    name = _file_name(request)
    if name in machine.transfers.uploads:
        await machine.clock.sleep(machine.spec.durations.image_server)
    return _progress(machine, machine.transfers.uploads, name, "uploading")


async def stop_upload(machine: Machine, caller: Caller, request: NodeRequest) -> Reply:
    machine.transfers.stop_upload(_file_name(request))
    return tight(OK)


async def delete(machine: Machine, caller: Caller, request: NodeRequest) -> Reply:
    """Delete any file below `/data`, in use or not."""
    name = text_of(request.additional, "image_filename")
    if not name:
        raise Refused("image_filename is empty")
    path = f"/data/{name}"
    if not machine.files.exists(path):
        raise Refused(f"image file:{name} is not exist")
    if name in machine.transfers.downloads or path in machine.transfers.uploads:
        raise Refused("image file is in downloading or uploading, please try again later")
    if machine.files.is_directory(path):
        raise ProcessDied(f"removing a directory: {path}")
    machine.files.remove(path)
    return spaced(OK)


def _progress(machine: Machine, running: dict[str, Transfer], name: str, word: str) -> Reply:
    """Progress; `done` if it is not running: finished, failed, stopped or unknown."""
    part = machine.transfers.progress(running, name)
    if part < 1:
        return tight(f'{{"status": "{word}","progress": "{int(part * 100)}%"}}')
    return tight('{"status": "done","progress": "100%"}')


async def _listed(machine: Machine, request: NodeRequest) -> ImageServer:
    """The image server, after the duration of its list; an unreachable one has an empty list."""
    image_server = machine.image_servers.get(request.image_server)
    if image_server is None:
        raise Refused("no image_server")
    await _ask(machine, image_server)
    return image_server


async def _ask(machine: Machine, image_server: ImageServer) -> None:
    """Duration of a list. An unreachable image server blocks the node's single thread."""
    await machine.clock.sleep(
        machine.spec.durations.image_server if image_server.reachable else image_server.fail_seconds
    )


def _file_name(request: NodeRequest) -> str:
    name = text_of(request.additional, "image_filename")
    if not name:
        raise Refused("additional no image_filename")
    return name


def _names_in_use(machine: Machine) -> set[str]:
    return {
        disk.file.rsplit("/", 1)[-1]
        for record in machine.records.values()
        if machine.libvirt.state(record.task_id) is DomainState.RUNNING
        for disk in record.disks.values()
    }


def _own_system_disks(machine: Machine, wallet: str) -> set[tuple[str, int]]:
    """System disks of the caller's stopped VMs."""
    found = set()
    for record in machine.owned_by(wallet):
        disk = record.disks.get("vda")
        if disk is None or machine.libvirt.state(record.task_id) is DomainState.RUNNING:
            continue
        file = machine.files.get(disk.file)
        if file is not None:
            found.add((disk.file.rsplit("/", 1)[-1], file.size))
    return found
