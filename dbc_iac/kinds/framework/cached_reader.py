"""Cached reads of the API, for planning and for waits of the engine.

A `CachedReader` reads each object once and keeps the answer until `forget`. It can only read. A failed read is
`Unreadable`, which is never the same as absent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from msgspec import Struct

from dbc_iac.api import endpoints
from dbc_iac.api.channel import Channel
from dbc_iac.api.outcome import Done, NotSent, Outcome, RefusalKind, Refused, Unknown
from dbc_iac.api.requests import ImageServerFiles, ImageTransfer
from dbc_iac.api.responses import LanView, NodeHardware, RentOrder, StoredImage, VmDetails, VmSummary
from dbc_iac.kinds.framework.route import Route
from dbc_iac.kinds.snapshots.upload_progress import UploadProgress

if TYPE_CHECKING:
    from dbc_iac.api.storage_responses import DeeplinkView, Progress, ServerView, SnapshotView

T = TypeVar("T")


class Known(Struct, Generic[T], frozen=True):
    value: T


class Unreadable(Struct, frozen=True):
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

    @property
    def may_pass(self) -> bool:
        """Whether the reason may be gone a moment later."""
        return not self.final and not self.absent


_PAUSE = 1.0
"""Seconds before a failed read is sent again."""

Reading = Known[T] | Unreadable
Connect = Callable[[Route], Awaitable[Channel]]
"""Gives the channel to a target, with its credentials: a key may have to be read first."""
_Files = Callable[[Channel, ImageServerFiles], "Awaitable[Outcome[tuple[StoredImage, ...]]]"]


def _unreadable(outcome: Refused | NotSent | Unknown) -> Unreadable:
    match outcome:
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


class CachedReader:
    """Memoised reads over channels. `calls` counts the reads that were sent.

    `repeats`: a read that fails is sent once more before it counts as unreadable, for readers that look only once. A
    target that fails twice in a row is not asked twice again.
    """

    def __init__(self, connect: Connect, *, repeats: bool = False) -> None:
        self._connect = connect
        self._repeats = repeats
        self._failing: set[object] = set()
        self._answers: dict[tuple[object, tuple[Any, ...]], asyncio.Future[Any]] = {}
        self.calls = 0
        self.courses: dict[tuple[str, str, str], UploadProgress] = {}
        """Observed progress of uploads, by target, VM and snapshot. Kept by `forget`."""

    async def vms(self, route: Route) -> Known[Mapping[str, VmSummary]] | Unreadable:
        """All VMs of the wallet on the target, by task id, from one list call."""
        return await self._read(("vms", route), route, endpoints.vms.list_vms, by=lambda vm: vm.task_id)

    async def vm(self, route: Route, task_id: str) -> Known[VmDetails | None] | Unreadable:
        """Details of one VM; None if the node reports that it does not exist for this wallet."""
        return await self._read(
            ("vm", route, task_id), route, lambda channel: endpoints.vms.vm_details(channel, task_id)
        )

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
        listing = await self._read(("went", route, task_id), route, endpoints.vms.list_vms)
        return isinstance(listing, Known) and task_id not in {vm.task_id for vm in listing.value}

    async def vm_notes(self, route: Route, task_id: str, lines: int = 99) -> Known[tuple[str, ...]] | Unreadable:
        """The newest lines of a VM's log on its node, without passwords, oldest first."""
        return await self._read(
            ("notes", route, task_id, lines),
            route,
            lambda channel: endpoints.vms.vm_logs(channel, task_id, lines=lines),
        )

    async def hardware(self, route: Route) -> Known[NodeHardware] | Unreadable:
        return await self._read(("hardware", route.target, route.clients), route, endpoints.nodes.node_hardware)

    async def orders(self, route: Route) -> Known[tuple[RentOrder, ...]] | Unreadable:
        """Rent orders as the target has them cached: filled by authorised calls, at most 51."""
        await self.vms(route)  # an authorised call fills the node's cache
        return await self._read(("orders", route), route, endpoints.nodes.rent_orders)

    async def network(self, route: Route, name: str) -> Known[LanView | None] | Unreadable:
        key = ("network", route.target, route.clients, name)
        return await self._read(key, route, lambda channel: endpoints.networks.network(channel, name))

    async def networks(self, route: Route) -> Known[tuple[LanView, ...]] | Unreadable:
        """The LANs that the target knows, of all tenants; at most 31."""
        return await self._read(("networks", route.target, route.clients), route, endpoints.networks.list_networks)

    async def servers(self, route: Route) -> Known[Mapping[str, ServerView]] | Unreadable:
        """The manager's servers by node id (its list is capped at 51)."""
        return await self._read(
            ("servers", route), route, endpoints.bare_metal.list_servers, by=lambda server: server.node_id
        )

    async def server(self, route: Route, key: str) -> Known[ServerView | None] | Unreadable:
        """One server by node id or uuid. Slow: the manager asks the BMC."""
        return await self._read(
            ("server", route, key), route, lambda channel: endpoints.bare_metal.server(channel, key)
        )

    async def image_servers(self, route: Route) -> Known[tuple[str, ...]] | Unreadable:
        """Ids of the image servers that the client node knows. `route`: through the client node for images."""
        return await self._read(("image servers", route.clients), route, endpoints.images.list_image_servers)

    async def image_server(self, route: Route, server: str) -> Known[Mapping[str, StoredImage]] | Unreadable:
        """An image server's files by name. An empty list is unreadable: one that cannot be reached gives that too."""
        return await self._files(
            ("image server", route, server), route, endpoints.images.list_image_server_files, server
        )

    async def node_images(self, route: Route, server: str) -> Known[Mapping[str, StoredImage]] | Unreadable:
        """A node's image files by name; those made from another image only if the image server has them too."""
        return await self._files(("node images", route, server), route, endpoints.images.list_node_images, server)

    async def _files(
        self, key: tuple[Any, ...], route: Route, listed: _Files, server: str
    ) -> Known[Mapping[str, StoredImage]] | Unreadable:
        """Sent once only: it occupies the node while the image server does not answer, and a repeat would do so too."""
        body = ImageServerFiles(image_server=server)
        return await self._read(key, route, lambda channel: listed(channel, body), by=lambda i: i.name, repeats=False)

    async def download(self, route: Route, file: str) -> Known[Progress] | Unreadable:
        body = ImageTransfer(image_filename=file)
        return await self._read(
            ("download", route, file), route, lambda channel: endpoints.images.download_progress(channel, body)
        )

    async def upload(self, route: Route, path: str) -> Known[Progress] | Unreadable:
        """By the absolute path."""
        body = ImageTransfer(image_filename=path)
        return await self._read(
            ("upload", route, path), route, lambda channel: endpoints.images.upload_progress(channel, body)
        )

    async def snapshots(self, route: Route, task_id: str) -> Known[tuple[SnapshotView, ...]] | Unreadable:
        """A VM's snapshots in order of creation; none of a VM that does not exist."""
        return await self._read(
            ("snapshots", route, task_id),
            route,
            lambda channel: endpoints.snapshots.list_snapshots(channel, task_id),
        )

    async def power(self, route: Route) -> Known[Literal["on", "off"]] | Unreadable:
        """`on` or `off` of a rented server, as its BMC says."""
        return await self._read(("power", route), route, endpoints.instances.power_status)

    async def deeplink(self, route: Route) -> Known[DeeplinkView] | Unreadable:
        return await self._read(("deeplink", route), route, endpoints.instances.deeplink)

    def forget(self, *, target: str = "") -> None:
        """Discard cached reads, of one target or of all."""
        for asked, key in list(self._answers):
            if not target or target == asked:
                del self._answers[asked, key]

    async def _read(
        self,
        key: tuple[Any, ...],
        route: Route,
        call: Callable[[Channel], Awaitable[Outcome[Any]]],
        *,
        by: Callable[[Any], str] | None = None,
        repeats: bool = True,
    ) -> Known[Any] | Unreadable:
        """The cached answer, or a new one; a list with its items by their key `by`.

        `key`: the name of the read, then the route, or what of it the answer depends on.
        """
        asked: object = key[1] if isinstance(key[1], tuple) else route.target  # client nodes, or the target
        waiting = self._answers.get((asked, key))
        if waiting is None:
            sent = self._sent(route, call, by, asked, repeats=repeats and self._repeats)
            waiting = self._answers[asked, key] = asyncio.ensure_future(sent)
        answer: Known[Any] | Unreadable = await asyncio.shield(waiting)
        return answer

    async def _sent(
        self,
        route: Route,
        call: Callable[[Channel], Awaitable[Outcome[Any]]],
        by: Callable[[Any], str] | None,
        asked: object,
        *,
        repeats: bool,
    ) -> Known[Any] | Unreadable:
        repeated = False
        while True:
            self.calls += 1
            outcome = await call(await self._connect(route))
            if isinstance(outcome, Done):
                return Known(outcome.value if by is None else {by(item): item for item in outcome.value})
            answer = _unreadable(outcome)
            if repeated and answer.may_pass:
                self._failing.add(asked)
            if repeated or not repeats or asked in self._failing or not answer.may_pass:
                return answer
            await asyncio.sleep(_PAUSE)
            repeated = True
