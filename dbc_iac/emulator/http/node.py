"""An HTTP port: of a client node, a GPU node or a manager. Requests pass the checks in the real order."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any, Literal

from dbc_iac.emulator.bare_metal.manager import ManagerProcess
from dbc_iac.emulator.gossip import Entry, Kind, Listener
from dbc_iac.emulator.gpu.lan import LanTable
from dbc_iac.emulator.gpu.request import NodeRequest
from dbc_iac.emulator.gpu_process import GpuProcess
from dbc_iac.emulator.http import envelope as body_of
from dbc_iac.emulator.http import local
from dbc_iac.emulator.http.answer import INVALID_REQUEST, Answer, Dropped, RelayedAnswer, Response, page
from dbc_iac.emulator.http.relay import Relay
from dbc_iac.emulator.http.routes import check_query, route
from dbc_iac.emulator.reply import ProcessDied

if TYPE_CHECKING:
    from dbc_iac.emulator.network import Network

METHODS = frozenset({"GET", "POST", "HEAD", "PUT", "DELETE"})
MAX_HEADER_BYTES = 8192
"""Line ends excluded."""
MAX_BODY_BYTES = 0x02000000
WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
"""Bodies of other methods are not read."""


class HttpNode:
    """A port. `process`: the GPU node or manager behind it; None for a client node, which is only a port.

    `host`: a GPU node on the same machine, whose disk it shares.
    """

    def __init__(
        self,
        name: str,
        node_id: str,
        world: Network,
        lan: LanTable,
        image_server_ids: Collection[str],
        process: GpuProcess | ManagerProcess | None = None,
        host: GpuProcess | None = None,
    ) -> None:
        self.name = name
        self.id = node_id
        self.world = world
        self.lan = lan
        self.image_server_ids = sorted(image_server_ids)
        self.process = process
        self.listener = Listener(name, process)
        self.relay = Relay(self)
        self.turn = asyncio.Lock()
        self.alive = True
        self._host = process if isinstance(process, GpuProcess) else host

    @property
    def kind(self) -> Literal["client", "gpu", "manager"]:
        if self.process is None:
            return "client"
        return "manager" if isinstance(self.process, ManagerProcess) else "gpu"

    @property
    def manager(self) -> ManagerProcess | None:
        return self.process if isinstance(self.process, ManagerProcess) else None

    def files(self) -> Collection[str]:
        """Paths on this node's disk."""
        return self._host.node.machine.files.files if self._host is not None else ()

    def heard(self, kind: Kind) -> Iterator[Entry]:
        return self.world.gossip.known(self.listener, kind)

    # -- requests ----------------------------------------------------------------------------------

    async def handle(self, method: str, uri: str, body: bytes, head_bytes: int = 0) -> Response:
        """Handle a request. `head_bytes`: of request line and headers. Raises Dropped if the connection closes
        without an answer.
        """
        if not self.runs:
            raise Dropped("the process does not run", refused=True)
        if head_bytes > MAX_HEADER_BYTES:
            return page(400)
        if method in WITH_BODY and len(body) > MAX_BODY_BYTES:
            return page(413)
        if method not in METHODS:
            return page(501)
        async with self.turn:
            pass  # The single HTTP thread may be blocked by a list of an image server.
        try:
            return await self._answer(method, uri, body if method in WITH_BODY else b"")
        except (Answer, RelayedAnswer) as made:
            return made.response
        except ProcessDied as death:
            self.die()
            raise Dropped(str(death)) from None

    async def _answer(self, method: str, uri: str, body: bytes) -> Response:
        found = route(uri)
        if method != "POST":
            raise Answer(400, INVALID_REQUEST, "only support POST request")
        check_query(found)
        if found.wrong:
            raise Answer(400, -25, found.wrong)
        op, path = found.op, found.path
        local.before_body(self, op, path)
        value = body_of.read_json(body, op)
        if found.missing:
            raise Answer(400, -25, found.missing)
        local.before_envelope(self, op, value)
        envelope = body_of.read_envelope(value, op)
        await local.answer(self, op, path, envelope)
        image_server = local.image_server(self, op, envelope.additional)
        body_of.check_credentials(envelope, op)
        local.check_additional(op, envelope.additional)
        request = NodeRequest(path, found.query, envelope.additional, image_server)
        return await self.relay.send(op, envelope.target or "", envelope.credentials, request)

    # -- process life cycle ------------------------------------------------------------------------

    @property
    def runs(self) -> bool:
        if isinstance(self.process, GpuProcess):
            return self.process.node.alive
        return self.process.alive if self.process is not None else self.alive

    def die(self) -> None:
        """Crash of the process."""
        if self.process is not None:
            self.process.die()
            return
        self.alive = False
        if self.world.spec.restart_seconds:
            self.world.keep(asyncio.ensure_future(self._come_back()))

    async def _come_back(self) -> None:
        await self.world.clock.sleep(self.world.spec.restart_seconds)
        if not self.alive:
            self.restart()

    def restart(self) -> None:
        """Restart: no other node is known, and no request is pending."""
        if self.process is not None:
            self.process.restart()
        self.alive = True
        self.listener.since = self.world.clock.now()
        self.relay = Relay(self)

    def leak(self, slots: int) -> None:
        """Occupy slots, as requests that are never answered do."""
        self.relay.pending += slots

    def truth(self) -> dict[str, Any]:
        return {"name": self.name, "alive": self.runs, "pending": self.relay.pending}
