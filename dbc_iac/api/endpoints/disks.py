"""Disks of a VM: `/disk`. Changes need the VM off, are accepted before they are done, and never report a failure."""

from __future__ import annotations

from functools import partial

from dbc_iac.api.endpoints import Call, acknowledged, endpoint
from dbc_iac.api.idempotency import CallClass
from dbc_iac.api.outcome import Outcome, decoded
from dbc_iac.api.requests import DiskAdd, DiskDelete, DiskResize
from dbc_iac.api.responses import DiskEntry, read


@endpoint("/disk/list/{task_id}", CallClass.READ)
async def list_disks(call: Call, task_id: str) -> Outcome[tuple[DiskEntry, ...]]:
    """All disks of a VM, with sizes that are rounded above 1 TiB. Does not check whose VM it is."""
    return decoded(await call(task_id=task_id), partial(read, tuple[DiskEntry, ...]))


@endpoint("/disk/resize/{task_id}", CallClass.BLIND)
async def resize_disk(call: Call, task_id: str, body: DiskResize) -> Outcome[None]:
    """Grow a disk *by* so many GiB. A repeat grows it again."""
    return acknowledged(await call(body, task_id=task_id))


@endpoint("/disk/add/{task_id}", CallClass.BLIND)
async def add_disk(call: Call, task_id: str, body: DiskAdd) -> Outcome[None]:
    """Add a disk. The reply does not name it: it is found as the file that was not there before."""
    return acknowledged(await call(body, task_id=task_id))


@endpoint("/disk/delete/{task_id}", CallClass.KEYED)
async def delete_disk(call: Call, task_id: str, body: DiskDelete) -> Outcome[None]:
    """Delete a disk and its file. Names are reused: read which file has the name right before."""
    return acknowledged(await call(body, task_id=task_id))
