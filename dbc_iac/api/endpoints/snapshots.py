"""Snapshots: `/snapshot`. Exports of the system disk to an image server; names are not unique to the node."""

from __future__ import annotations

from functools import partial

from dbc_iac.api.endpoints import Call, acknowledged, endpoint
from dbc_iac.api.idempotency import CallClass
from dbc_iac.api.outcome import Done, Outcome, RefusalKind, Refused, decoded
from dbc_iac.api.requests import SnapshotCreate
from dbc_iac.api.responses import read
from dbc_iac.api.storage_responses import SnapshotView


@endpoint("/snapshot/list/{task_id}", CallClass.READ)
async def list_snapshots(call: Call, task_id: str) -> Outcome[tuple[SnapshotView, ...]]:
    """A VM's snapshots in order of creation; none for a VM that does not exist."""
    return decoded(await call(task_id=task_id), partial(read, tuple[SnapshotView, ...]))


@endpoint("/snapshot/list/{task_id}/{name}", CallClass.READ)
async def snapshot(call: Call, task_id: str, name: str) -> Outcome[SnapshotView | None]:
    """The oldest snapshot of that name, or None."""
    outcome = await call(task_id=task_id, name=name)
    if isinstance(outcome, Refused) and outcome.kind is RefusalKind.ABSENT:
        return Done(None)
    return decoded(outcome, partial(read, SnapshotView), name=name)


@endpoint("/snapshot/create/{task_id}", CallClass.BLIND)
async def create_snapshot(call: Call, task_id: str, body: SnapshotCreate) -> Outcome[None]:
    """Begin a snapshot of a VM that is off. The node accepts a second one of the same name."""
    return acknowledged(await call(body, task_id=task_id))


@endpoint("/snapshot/delete/{task_id}/{name}", CallClass.KEYED)
async def delete_snapshot(call: Call, task_id: str, name: str) -> Outcome[None]:
    """Delete the oldest of that name; the copy in the image server stays. While one is `creating` it ends the node."""
    return acknowledged(await call(task_id=task_id, name=name))
