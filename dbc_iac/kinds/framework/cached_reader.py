"""Cached reads of the API, for planning and for waits of the engine.

A `CachedReader` reads each object once and keeps the answer until `forget`. It can only read. A failed read is
`Unreadable`, which is never the same as absent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from dbc_iac.api.channel import Channel
from dbc_iac.api.endpoints import bare_metal, disks, images, instances, networks, nodes, snapshots, vms
from dbc_iac.api.outcome import Done, NotSent, Outcome, RefusalKind, Refused, Unknown
from dbc_iac.api.requests import ImageServerFiles, ImageTransfer
from dbc_iac.api.responses import DiskEntry, LanView, NodeHardware, RentOrder, ServerView, VmDetails, VmSummary
from dbc_iac.api.storage_responses import DeeplinkView, Progress, SnapshotView, StoredImage
from dbc_iac.kinds.framework.route import Route
from dbc_iac.kinds.snapshots.upload_progress import UploadProgress

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Known(Generic[T]):
    value: T


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A read without a usable answer. `reason` is for people; `authority`: access was denied.

    `absent`: the target reports that the object does not exist. `garbled`: the answer cannot be parsed, such as a list
    that a description has broken. `transient`: the same request may succeed later.
    """

    reason: str
    authority: bool = False
    not_rented: bool = False
    garbled: bool = False
    absent: bool = False
    transient: bool = False

    @property
    def final(self) -> bool:
        """Whether access was denied, and a repeat will be denied too."""
        return self.authority and not self.transient


_PAUSE = 1.0
"""Seconds before a failed read is sent again."""

_BLOCKING = frozenset({"image server", "node images"})
"""Reads that occupy the node while an image server does not answer: a second one would do so for as long again."""

Reading = Known[T] | Unreadable
Connect = Callable[[Route], Awaitable[Channel]]
"""Gives the channel to a target, with its credentials: a key may have to be read first."""


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
                transient=refused.transient,
            )
        case NotSent(message=message):
            return Unreadable(message)
        case Unknown(message=message, executed=executed):
            return Unreadable(message, garbled=executed == "handled")


def _may_pass(answer: object) -> bool:
    """Whether a read failed for a reason that may be gone a moment later."""
    return isinstance(answer, Unreadable) and not answer.final and not answer.absent


class CachedReader:
    """Memoised reads over channels. `calls` counts the reads that were sent.

    `repeats`: a read that fails is sent once more before it counts as unreadable, for readers that look only once. A
    target that fails twice in a row is not asked twice again.
    """

    def __init__(self, connect: Connect, *, repeats: bool = False) -> None:
        self._connect = connect
        self._repeats = repeats
        self._failing: set[str] = set()
        self._answers: dict[tuple[Any, ...], asyncio.Future[Any]] = {}
        self.calls = 0
        self.courses: dict[tuple[str, str, str], UploadProgress] = {}
        """Observed progress of uploads, by target, VM and snapshot. Kept by `forget`."""

    async def vms(self, route: Route) -> Known[Mapping[str, VmSummary]] | Unreadable:
        """All VMs of the wallet on the target, by task id, from one list call."""

        async def ask() -> Known[Mapping[str, VmSummary]] | Unreadable:
            listing = _reading(await vms.list_vms(await self._connect(route)))
            return Known({vm.task_id: vm for vm in listing.value}) if isinstance(listing, Known) else listing

        return await self._once(("vms", route), ask)

    async def vm(self, route: Route, task_id: str) -> Known[VmDetails | None] | Unreadable:
        """Details of one VM; None if the node reports that it does not exist for this wallet."""

        async def ask() -> Known[VmDetails | None] | Unreadable:
            return _reading(await vms.vm_details(await self._connect(route), task_id))

        return await self._once(("vm", route, task_id), ask)

    async def vm_status(self, route: Route, task_id: str) -> Known[str | None] | Unreadable:
        """One VM's status; None if the list proves that it does not exist.

        For a list broken by a foreign description the details are read instead, which know every VM by its id.
        """
        listing = await self.vms(route)
        if isinstance(listing, Known):
            summary = listing.value.get(task_id)
            return Known(summary.status if summary else None)
        details = await self.vm(route, task_id) if listing.garbled and task_id else listing
        if isinstance(details, Known) and details.value is not None:
            return Known(details.value.status)
        return listing

    async def vm_went(self, route: Route, task_id: str) -> bool:
        """Whether a listed VM without details was deleted between the two reads. Only another list proves it."""

        async def ask() -> bool:
            listing = _reading(await vms.list_vms(await self._connect(route)))
            return isinstance(listing, Known) and task_id not in {vm.task_id for vm in listing.value}

        return await self._once(("went", route, task_id), ask)

    async def vm_notes(self, route: Route, task_id: str, lines: int = 99) -> Known[tuple[str, ...]] | Unreadable:
        """The newest lines of a VM's log on its node, without passwords, oldest first."""

        async def ask() -> Known[tuple[str, ...]] | Unreadable:
            return _reading(await vms.vm_logs(await self._connect(route), task_id, lines=lines))

        return await self._once(("notes", route, task_id, lines), ask)

    async def disks(self, route: Route, task_id: str) -> Known[tuple[DiskEntry, ...]] | Unreadable:
        async def ask() -> Known[tuple[DiskEntry, ...]] | Unreadable:
            listing = _reading(await disks.list_disks(await self._connect(route), task_id))
            return Known(tuple(listing.value)) if isinstance(listing, Known) else listing

        return await self._once(("disks", route, task_id), ask)

    async def hardware(self, route: Route) -> Known[NodeHardware] | Unreadable:
        async def ask() -> Known[NodeHardware] | Unreadable:
            return _reading(await nodes.node_hardware(await self._connect(route)))

        return await self._once(("hardware", route.target, route.clients), ask)

    async def orders(self, route: Route) -> Known[tuple[RentOrder, ...]] | Unreadable:
        """Rent orders as the target has them cached: filled by authorised calls, at most 51."""

        async def ask() -> Known[tuple[RentOrder, ...]] | Unreadable:
            await self.vms(route)  # an authorised call fills the node's cache
            listing = _reading(await nodes.rent_orders(await self._connect(route)))
            return Known(tuple(listing.value)) if isinstance(listing, Known) else listing

        return await self._once(("orders", route), ask)

    async def network(self, route: Route, name: str) -> Known[LanView | None] | Unreadable:
        async def ask() -> Known[LanView | None] | Unreadable:
            return _reading(await networks.network(await self._connect(route), name))

        return await self._once(("network", route.target, route.clients, name), ask)

    async def networks(self, route: Route) -> Known[tuple[LanView, ...]] | Unreadable:
        """The LANs that the target knows, of all tenants; at most 31."""

        async def ask() -> Known[tuple[LanView, ...]] | Unreadable:
            return _reading(await networks.list_networks(await self._connect(route)))

        return await self._once(("networks", route.target, route.clients), ask)

    async def servers(self, route: Route) -> Known[Mapping[str, ServerView]] | Unreadable:
        """The manager's servers by node id (its list is capped at 51)."""

        async def ask() -> Known[Mapping[str, ServerView]] | Unreadable:
            listing = _reading(await bare_metal.list_servers(await self._connect(route)))
            return Known({s.node_id: s for s in listing.value}) if isinstance(listing, Known) else listing

        return await self._once(("servers", route), ask)

    async def server(self, route: Route, key: str) -> Known[ServerView | None] | Unreadable:
        """One server by node id or uuid. Slow: the manager asks the BMC."""

        async def ask() -> Known[ServerView | None] | Unreadable:
            return _reading(await bare_metal.server(await self._connect(route), key))

        return await self._once(("server", route, key), ask)

    async def image_servers(self, route: Route) -> Known[tuple[str, ...]] | Unreadable:
        """Ids of the image servers that the client node knows. `reach`: through the client node for images."""

        async def ask() -> Known[tuple[str, ...]] | Unreadable:
            return _reading(await images.list_image_servers(await self._connect(route)))

        return await self._once(("image servers", route.clients), ask)

    async def image_server(self, route: Route, server: str) -> Known[Mapping[str, StoredImage]] | Unreadable:
        """An image server's files by name. An empty list is unreadable: one that cannot be reached gives that too."""

        async def ask() -> Known[Mapping[str, StoredImage]] | Unreadable:
            listing = _reading(
                await images.list_image_server_files(await self._connect(route), ImageServerFiles(image_server=server))
            )
            return Known({i.name: i for i in listing.value}) if isinstance(listing, Known) else listing

        return await self._once(("image server", route, server), ask)

    async def node_images(self, route: Route, server: str) -> Known[Mapping[str, StoredImage]] | Unreadable:
        """A node's image files by name; those made from another image only if the image server has them too."""

        async def ask() -> Known[Mapping[str, StoredImage]] | Unreadable:
            listing = _reading(
                await images.list_node_images(await self._connect(route), ImageServerFiles(image_server=server))
            )
            return Known({i.name: i for i in listing.value}) if isinstance(listing, Known) else listing

        return await self._once(("node images", route, server), ask)

    async def download(self, route: Route, file: str) -> Known[Progress] | Unreadable:
        async def ask() -> Known[Progress] | Unreadable:
            return _reading(
                await images.download_progress(await self._connect(route), ImageTransfer(image_filename=file))
            )

        return await self._once(("download", route, file), ask)

    async def upload(self, route: Route, path: str) -> Known[Progress] | Unreadable:
        """By the absolute path."""

        async def ask() -> Known[Progress] | Unreadable:
            return _reading(
                await images.upload_progress(await self._connect(route), ImageTransfer(image_filename=path))
            )

        return await self._once(("upload", route, path), ask)

    async def snapshots(self, route: Route, task_id: str) -> Known[tuple[SnapshotView, ...]] | Unreadable:
        """A VM's snapshots in order of creation; none of a VM that does not exist."""

        async def ask() -> Known[tuple[SnapshotView, ...]] | Unreadable:
            return _reading(await snapshots.list_snapshots(await self._connect(route), task_id))

        return await self._once(("snapshots", route, task_id), ask)

    async def power(self, route: Route) -> Known[Literal["on", "off"]] | Unreadable:
        """`on` or `off` of a rented server, as its BMC says."""

        async def ask() -> Known[Literal["on", "off"]] | Unreadable:
            return _reading(await instances.power_status(await self._connect(route)))

        return await self._once(("power", route), ask)

    async def deeplink(self, route: Route) -> Known[DeeplinkView] | Unreadable:
        async def ask() -> Known[DeeplinkView] | Unreadable:
            return _reading(await instances.deeplink(await self._connect(route)))

        return await self._once(("deeplink", route), ask)

    def forget(self, *, target: str = "") -> None:
        """Discard cached reads, of one target or of all."""
        for key in list(self._answers):
            if not target or target in {key[1], getattr(key[1], "target", None)}:
                del self._answers[key]

    async def _once(self, key: tuple[Any, ...], ask: Callable[[], Awaitable[R]]) -> R:
        waiting = self._answers.get(key)
        if waiting is None:
            waiting = asyncio.ensure_future(self._asked(key, ask))
            self._answers[key] = waiting
        answer: R = await asyncio.shield(waiting)
        return answer

    async def _asked(self, key: tuple[Any, ...], ask: Callable[[], Awaitable[R]]) -> R:
        self.calls += 1
        answer = await ask()
        target = str(getattr(key[1], "target", key[1]))
        if not self._repeats or target in self._failing or key[0] in _BLOCKING or not _may_pass(answer):
            return answer
        await asyncio.sleep(_PAUSE)
        self.calls += 1
        answer = await ask()
        if _may_pass(answer):
            self._failing.add(target)
        return answer
