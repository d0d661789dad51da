"""What the API shows, read once and kept: the only eyes of planning, and of the engine while it waits.

A `Reader` asks for a thing the first time it is wanted and remembers the answer until it is told to `forget`. It can
only read. What cannot be read is `Unreadable`, which is never the same as absent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from dbc_iac.api.channel import Channel
from dbc_iac.api.endpoints import bare_metal, disks, images, instances, networks, nodes, snapshots, vms
from dbc_iac.api.outcome import Done, NotSent, Outcome, RefusalKind, Refused, Unknown
from dbc_iac.api.reading import (
    DiskEntry,
    LanView,
    NodeHardware,
    RentOrder,
    ServerView,
    VmDetails,
    VmSummary,
)
from dbc_iac.api.storage import DeeplinkView, Progress, SnapshotView, StoredImage
from dbc_iac.api.wire import ImageCentre, ImageTransfer
from dbc_iac.kinds.course import Course
from dbc_iac.kinds.reach import Reach

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Known(Generic[T]):
    value: T


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A read without an answer that can be used. `reason` is for people; `authority` tells that we were turned away.

    `absent`: the target says that there is no such object. `garbled`: the target answered, and what it said cannot be
    read, as a list that a description has broken.
    """

    reason: str
    authority: bool = False
    not_rented: bool = False
    garbled: bool = False
    absent: bool = False


Reading = Known[T] | Unreadable


def _reading(outcome: Outcome[T]) -> Known[T] | Unreadable:
    match outcome:
        case Done(value):
            return Known(value)
        case Refused() as refused:
            return Unreadable(
                refused.message,
                authority=refused.authority,
                not_rented=refused.not_rented,
                absent=refused.kind is RefusalKind.ABSENT,
            )
        case NotSent(message=message):
            return Unreadable(message)
        case Unknown(message=message, executed=executed):
            return Unreadable(message, garbled=executed == "handled")


class Reader:
    """Memoised reads over channels. `calls` counts what was asked of the API."""

    def __init__(self, connect: Callable[[Reach], Channel]) -> None:
        self._connect = connect
        self._answers: dict[tuple[Any, ...], asyncio.Future[Any]] = {}
        self.calls = 0
        self.courses: dict[tuple[str, str, str], Course] = {}
        """What has been seen of uploads, by target, VM and snapshot: kept when what was read is forgotten."""

    async def vms(self, reach: Reach) -> Known[Mapping[str, VmSummary]] | Unreadable:
        """All VMs of the wallet on the target, by task id, from one list call."""

        async def ask() -> Known[Mapping[str, VmSummary]] | Unreadable:
            listing = _reading(await vms.list_vms(self._connect(reach)))
            return Known({vm.task_id: vm for vm in listing.value}) if isinstance(listing, Known) else listing

        return await self._once(("vms", reach), ask)

    async def vm(self, reach: Reach, task_id: str) -> Known[VmDetails | None] | Unreadable:
        """Details of one VM; None where the node says that it does not exist for this wallet."""

        async def ask() -> Known[VmDetails | None] | Unreadable:
            return _reading(await vms.vm_details(self._connect(reach), task_id))

        return await self._once(("vm", reach, task_id), ask)

    async def vm_status(self, reach: Reach, task_id: str) -> Known[str | None] | Unreadable:
        """One VM's status; None where the list, and nothing but the list, proves that it does not exist.

        A list that a foreign description has broken is passed by: details know every VM whose id we know.
        """
        listing = await self.vms(reach)
        if isinstance(listing, Known):
            summary = listing.value.get(task_id)
            return Known(summary.status if summary else None)
        details = await self.vm(reach, task_id) if listing.garbled and task_id else listing
        if isinstance(details, Known) and details.value is not None:
            return Known(details.value.status)
        return listing

    async def vm_went(self, reach: Reach, task_id: str) -> bool:
        """Whether a VM that was listed, and of which the details know nothing, is not listed any more: it has been
        deleted between the two. Only another list proves it."""

        async def ask() -> bool:
            listing = _reading(await vms.list_vms(self._connect(reach)))
            return isinstance(listing, Known) and task_id not in {vm.task_id for vm in listing.value}

        return await self._once(("went", reach, task_id), ask)

    async def vm_notes(self, reach: Reach, task_id: str, lines: int = 99) -> Known[tuple[str, ...]] | Unreadable:
        """The newest lines of the node's own notes about a VM, without passwords, oldest first."""

        async def ask() -> Known[tuple[str, ...]] | Unreadable:
            return _reading(await vms.vm_logs(self._connect(reach), task_id, lines=lines))

        return await self._once(("notes", reach, task_id, lines), ask)

    async def disks(self, reach: Reach, task_id: str) -> Known[tuple[DiskEntry, ...]] | Unreadable:
        async def ask() -> Known[tuple[DiskEntry, ...]] | Unreadable:
            listing = _reading(await disks.list_disks(self._connect(reach), task_id))
            return Known(tuple(listing.value)) if isinstance(listing, Known) else listing

        return await self._once(("disks", reach, task_id), ask)

    async def hardware(self, reach: Reach) -> Known[NodeHardware] | Unreadable:
        async def ask() -> Known[NodeHardware] | Unreadable:
            return _reading(await nodes.node_hardware(self._connect(reach)))

        return await self._once(("hardware", reach.target, reach.clients), ask)

    async def orders(self, reach: Reach) -> Known[tuple[RentOrder, ...]] | Unreadable:
        """Rent orders as the target has them cached: filled by authorised calls, at most 51."""

        async def ask() -> Known[tuple[RentOrder, ...]] | Unreadable:
            await self.vms(reach)  # an authorised call fills the node's cache
            listing = _reading(await nodes.rent_orders(self._connect(reach)))
            return Known(tuple(listing.value)) if isinstance(listing, Known) else listing

        return await self._once(("orders", reach), ask)

    async def network(self, reach: Reach, name: str) -> Known[LanView | None] | Unreadable:
        async def ask() -> Known[LanView | None] | Unreadable:
            return _reading(await networks.network(self._connect(reach), name))

        return await self._once(("network", reach.target, reach.clients, name), ask)

    async def networks(self, reach: Reach) -> Known[tuple[LanView, ...]] | Unreadable:
        """The LANs that the target knows, of all tenants; at most 31."""

        async def ask() -> Known[tuple[LanView, ...]] | Unreadable:
            return _reading(await networks.list_networks(self._connect(reach)))

        return await self._once(("networks", reach.target, reach.clients), ask)

    async def servers(self, reach: Reach) -> Known[Mapping[str, ServerView]] | Unreadable:
        """The manager's servers by node id (its list is capped at 51)."""

        async def ask() -> Known[Mapping[str, ServerView]] | Unreadable:
            listing = _reading(await bare_metal.list_servers(self._connect(reach)))
            return Known({s.node_id: s for s in listing.value}) if isinstance(listing, Known) else listing

        return await self._once(("servers", reach), ask)

    async def server(self, reach: Reach, key: str) -> Known[ServerView | None] | Unreadable:
        """One server by node id or uuid. Slow: the manager asks the BMC."""

        async def ask() -> Known[ServerView | None] | Unreadable:
            return _reading(await bare_metal.server(self._connect(reach), key))

        return await self._once(("server", reach, key), ask)

    async def image_servers(self, reach: Reach) -> Known[tuple[str, ...]] | Unreadable:
        """Ids of the image centres that the client node knows. `reach`: through the client node for images."""

        async def ask() -> Known[tuple[str, ...]] | Unreadable:
            return _reading(await images.list_image_servers(self._connect(reach)))

        return await self._once(("image servers", reach.clients), ask)

    async def centre(self, reach: Reach, server: str) -> Known[Mapping[str, StoredImage]] | Unreadable:
        """A centre's files by name. An empty list is unreadable: one that cannot be reached gives that too."""

        async def ask() -> Known[Mapping[str, StoredImage]] | Unreadable:
            listing = _reading(await images.list_centre_images(self._connect(reach), ImageCentre(image_server=server)))
            return Known({i.name: i for i in listing.value}) if isinstance(listing, Known) else listing

        return await self._once(("centre", reach, server), ask)

    async def node_images(self, reach: Reach, server: str) -> Known[Mapping[str, StoredImage]] | Unreadable:
        """A node's image files by name; those made from another image only where the centre has them too."""

        async def ask() -> Known[Mapping[str, StoredImage]] | Unreadable:
            listing = _reading(await images.list_node_images(self._connect(reach), ImageCentre(image_server=server)))
            return Known({i.name: i for i in listing.value}) if isinstance(listing, Known) else listing

        return await self._once(("node images", reach, server), ask)

    async def download(self, reach: Reach, file: str) -> Known[Progress] | Unreadable:
        async def ask() -> Known[Progress] | Unreadable:
            return _reading(await images.download_progress(self._connect(reach), ImageTransfer(image_filename=file)))

        return await self._once(("download", reach, file), ask)

    async def upload(self, reach: Reach, path: str) -> Known[Progress] | Unreadable:
        """By the absolute path."""

        async def ask() -> Known[Progress] | Unreadable:
            return _reading(await images.upload_progress(self._connect(reach), ImageTransfer(image_filename=path)))

        return await self._once(("upload", reach, path), ask)

    async def snapshots(self, reach: Reach, task_id: str) -> Known[tuple[SnapshotView, ...]] | Unreadable:
        """A VM's snapshots in order of creation; none of a VM that does not exist."""

        async def ask() -> Known[tuple[SnapshotView, ...]] | Unreadable:
            return _reading(await snapshots.list_snapshots(self._connect(reach), task_id))

        return await self._once(("snapshots", reach, task_id), ask)

    async def power(self, reach: Reach) -> Known[Literal["on", "off"]] | Unreadable:
        """`on` or `off` of a rented server, as its BMC says."""

        async def ask() -> Known[Literal["on", "off"]] | Unreadable:
            return _reading(await instances.power_status(self._connect(reach)))

        return await self._once(("power", reach), ask)

    async def deeplink(self, reach: Reach) -> Known[DeeplinkView] | Unreadable:
        async def ask() -> Known[DeeplinkView] | Unreadable:
            return _reading(await instances.deeplink(self._connect(reach)))

        return await self._once(("deeplink", reach), ask)

    def forget(self, *, target: str = "") -> None:
        """Forget what was read (of one target), so that it is asked anew."""
        for key in list(self._answers):
            if not target or target in {key[1], getattr(key[1], "target", None)}:
                del self._answers[key]

    async def _once(self, key: tuple[Any, ...], ask: Callable[[], Awaitable[R]]) -> R:
        waiting = self._answers.get(key)
        if waiting is None:
            self.calls += 1
            waiting = asyncio.ensure_future(ask())
            self._answers[key] = waiting
        answer: R = await asyncio.shield(waiting)
        return answer
