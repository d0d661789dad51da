"""Calls of a refresh, makespan of an apply on the virtual clock, and the reads a second of the emulator.

python -m benchmarks.calls [VMS]
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

import httpx
from msgspec.structs import replace

from benchmarks.fleet import NODES, fleet
from benchmarks.table import HEAD, Row, machine
from dbc_iac.emulator.gpu.worker import Job, Worker
from tests.projects import Emulated, Result

COUNT = 1000
FEWEST_A_NODE, FEWEST_A_VM = 3, 1
"""Calls of a refresh: the list of VMs, the hardware and the rent orders of a node; the details of a VM, whose list has
neither its size nor its ports. See docs/performance.md."""


@dataclass
class Counted:
    """Requests of a command, and the virtual seconds of their answers."""

    requests: list[tuple[httpx.AsyncBaseTransport, httpx.Request]] = field(default_factory=list)
    seconds: float = 0.0

    def transport(self, inner: httpx.AsyncBaseTransport) -> httpx.AsyncBaseTransport:
        return _Counting(inner, self)


class _Counting(httpx.AsyncBaseTransport):
    def __init__(self, inner: httpx.AsyncBaseTransport, counted: Counted) -> None:
        self._inner = inner
        self._counted = counted

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self._counted.requests.append((self._inner, request))
        began = asyncio.get_running_loop().time()
        answer = await self._inner.handle_async_request(request)
        self._counted.seconds += asyncio.get_running_loop().time() - began
        return answer


def run(emulated: Emulated, *arguments: str) -> tuple[Result, Counted]:
    counted = Counted()

    def transport(name: str) -> httpx.AsyncBaseTransport:
        return counted.transport(emulated.network.transport(name))

    return emulated.project.run(*arguments, transport=transport, run=emulated.loop.run_until_complete), counted


@contextmanager
def _jobs() -> Iterator[dict[int, float]]:
    """Virtual seconds of the jobs of each node that are pushed while the block runs."""
    seconds: dict[int, float] = {}
    push = Worker.push

    def pushed(worker: Worker, job: Job) -> None:
        push(worker, replace(job, run=timed(worker, job)))

    def timed(worker: Worker, job: Job) -> Callable[[], Awaitable[None]]:
        async def run_job() -> None:
            began = asyncio.get_running_loop().time()
            await job.run()
            seconds[id(worker)] = seconds.get(id(worker), 0.0) + asyncio.get_running_loop().time() - began

        return run_job

    with patch.object(Worker, "push", pushed):
        yield seconds


def rows(count: int = COUNT) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        emulated = fleet(Path(folder), count)
        began = emulated.loop.time()
        with _jobs() as jobs:
            result, applied = run(emulated, "apply", "--yes")
        assert result.code == 0, result.err[-2000:]
        makespan, bound = emulated.loop.time() - began, max(*jobs.values(), applied.seconds)
        yield Row(
            f"makespan of an apply, {count} VMs on {NODES} nodes",
            f"{makespan:.1f} s of virtual time, {makespan / bound:.3f} x the bound",
            f"{bound:.1f} s: longest queue of jobs {max(jobs.values()):.1f} s, calls x latency {applied.seconds:.1f} s",
        )
        yield Row(
            f"calls of an apply, {count} VMs", f"{len(applied.requests)}, {len(applied.requests) / count:.2f} a VM"
        )
        used = time.process_time()
        result, refreshed = run(emulated, "plan", "--detailed-exitcode")
        used = time.process_time() - used
        assert result.code == 0, result.err[-2000:]
        calls, fewest = len(refreshed.requests), FEWEST_A_NODE * NODES + FEWEST_A_VM * count
        yield Row(
            f"calls of a refresh, {count} VMs", f"{calls}, {calls / fewest:.3f} x the fewest", f"{fewest}; goal 1.05 x"
        )
        seconds = _answered_again(emulated, refreshed)
        yield Row(
            "reads a second of the emulator, one core",
            f"{calls / seconds:.0f}, {seconds / used:.0%} of a plan in process",
            "goal 1000",
        )
        emulated.close()


def _answered_again(emulated: Emulated, counted: Counted) -> float:
    """Processor seconds of the emulator for the same requests."""

    async def again() -> None:
        for inner, request in counted.requests:
            await (await inner.handle_async_request(request)).aread()

    began = time.process_time()
    emulated.loop.run_until_complete(again())
    return time.process_time() - began


if __name__ == "__main__":
    print(machine())
    print(HEAD)
    for row in rows(int(sys.argv[1]) if len(sys.argv) > 1 else COUNT):
        print(row, flush=True)
