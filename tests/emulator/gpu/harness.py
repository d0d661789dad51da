"""A GPU node, its rentals and a virtual clock, with short request helpers."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from dbc_iac.emulator.gpu.admin import GpuAdmin
from dbc_iac.emulator.gpu.image_servers import ImageServers
from dbc_iac.emulator.gpu.lan import LanRoom
from dbc_iac.emulator.gpu.node import GpuNode
from dbc_iac.emulator.gpu.request import NodeRequest
from dbc_iac.emulator.gpu.spec import GpuNodeSpec, ImageServerSpec, ImageSpec
from dbc_iac.emulator.virtual_clock import close_loop, virtual_loop

RENTER = "5Renter"
NODE_ID = "ab" * 32
CREATE: dict[str, Any] = {
    "image_name": "ubuntu.qcow2",
    "desc": "a vm",
    "operation_system": "linux",
    "ssh_port": "5684",
    "vnc_port": "5904",
    "gpu_count": "0",
    "cpu_cores": "2",
    "mem_size": "4",
    "disk_size": "10",
}


class VirtualClock:
    """Emulated time is the loop's time."""

    start = datetime(2026, 11, 23, 19, 0, tzinfo=UTC)

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        if seconds > 0:
            await asyncio.sleep(seconds)

    def wall(self) -> datetime:
        return self.start + timedelta(seconds=self.now())


@dataclass
class Order:
    key: str
    renter: str = RENTER
    status: str = "renting"
    end: int = 1_100_000
    gpu_num: int = 0
    gpu_index: Sequence[int] = ()


@dataclass
class Rentals:
    """Rental cache that is also the chain."""

    orders: dict[str, Order] = field(default_factory=dict)
    status: str = "rented"
    listed: list[str] | None = None
    renter: tuple[str, int] = ("", 0)
    at_block: int = 1_000_000
    refreshed: list[str] = field(default_factory=list)

    def cached(self) -> Mapping[str, Order]:
        return self.orders

    def in_order(self) -> Sequence[Order]:
        return list(self.orders.values())

    def refresh(self, rent_order: str) -> None:
        self.refreshed.append(rent_order)

    def machine_status(self) -> str:
        return self.status

    def listed_orders(self) -> Sequence[str] | None:
        return self.listed

    def current_renter(self) -> tuple[str, int]:
        return self.renter

    def block(self) -> int:
        return self.at_block


@dataclass(frozen=True)
class Caller:
    wallet: str = RENTER
    role: str = "session"
    rent_order: str = ""


class Node:
    """A node with JSON requests. `deaths`: number of crashes of its process."""

    def __init__(
        self,
        spec: GpuNodeSpec,
        rentals: Rentals,
        room: LanRoom | None = None,
        image_servers: ImageServers | None = None,
    ) -> None:
        self.clock = VirtualClock()
        self.rentals = rentals
        self.image_servers = image_servers or ImageServers(
            [ImageServerSpec(id="ID_1", images=(ImageSpec(name="ubuntu.qcow2"),))]
        )
        self.room = room or LanRoom(self.clock)
        self.deaths = 0
        self.node = GpuNode(
            spec,
            clock=self.clock,
            source=random.Random(7),
            rentals=rentals,
            room=self.room,
            image_servers=self.image_servers,
            on_death=self._died,
        )
        self.node.begin()
        self.admin = GpuAdmin(self.node)

    def _died(self) -> None:
        self.deaths += 1

    async def text(
        self, op: str, *path: str, caller: Caller | None = None, query: str = "", server: str = "", **additional: Any
    ) -> str:
        """Raw text of the reply."""
        pairs = dict(part.split("=", 1) for part in query.split("&") if part)
        request = NodeRequest(path, pairs, additional, server)
        return (await self.node.handle(op, caller or Caller(), request)).text

    async def ask(
        self, op: str, *path: str, caller: Caller | None = None, query: str = "", server: str = "", **additional: Any
    ) -> Any:
        """`message` of a success, or `[errcode, text]` of a refusal."""
        reply = json.loads(await self.text(op, *path, caller=caller, query=query, server=server, **additional))
        return reply["message"] if reply["errcode"] == 0 else [reply["errcode"], reply["message"]]

    async def create(self, **changes: Any) -> str:
        """Create a VM: its id. `None` omits a key."""
        body = {key: value for key, value in {**CREATE, **changes}.items() if value is not None}
        reply = await self.ask("tasks.create", **body)
        assert isinstance(reply, dict), reply
        return str(reply["task_id"])

    async def created(self, **changes: Any) -> str:
        """Create a running VM."""
        task_id = await self.create(**changes)
        assert await self.until(task_id, "running") == "running"
        await self.idle()
        return task_id

    async def closed(self, **changes: Any) -> str:
        """Create a VM that is off."""
        task_id = await self.created(**changes)
        assert await self.ask("tasks.shutdown", task_id) == "ok"
        await self.until(task_id, "closed")
        return task_id

    async def status(self, task_id: str) -> str:
        for item in await self.ask("tasks.list"):
            if item["task_id"] == task_id:
                return str(item["status"])
        return "gone"

    async def until(self, task_id: str, status: str, seconds: float = 600) -> str:
        end = self.clock.now() + seconds
        found = await self.status(task_id)
        while found != status and self.clock.now() < end:
            await self.clock.sleep(1)
            found = await self.status(task_id)
        return found

    async def idle(self) -> None:
        """Wait until the worker is idle."""
        while self.node.machine.worker.queued or self.node.machine.worker.current:
            await self.clock.sleep(1)


def machine_rental(gpus: int = 2) -> Rentals:
    """Rental of the whole machine by a machine-level order."""
    return Rentals({RENTER: Order(RENTER, gpu_num=gpus, gpu_index=tuple(range(gpus)))}, renter=(RENTER, 1_100_000))


def spec(**changes: Any) -> GpuNodeSpec:
    """A small node: two GPUs, 16 cores, 64 GiB, short durations."""
    values: dict[str, Any] = {"id": NODE_ID, "gpus": 2, "cpus": 16, "memory": 64, "disk": 1024}
    return GpuNodeSpec.model_validate(values | changes)


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a test on a virtual loop."""
    loop = virtual_loop()
    try:
        loop.run_until_complete(test())
    finally:
        close_loop(loop)
