"""Replays recordings of real nodes against the emulator, in order, on a virtual clock, and compares what it answers.

HTTP status, content type, errcode and message are compared as data. Values that a recording marks as volatile are bound
at first sight and must be consistent from then on. Events of a recording change the emulated world.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dbc_iac.cli.virtual import virtual_loop
from dbc_iac.sim import Emulator, WorldSpec
from dbc_iac.sim.client import DroppedError
from tests.conformance.worlds import world_of


@dataclass
class Difference:
    exchange: int
    name: str
    path: str
    recorded: Any
    replayed: Any

    def __str__(self) -> str:
        return f"{self.exchange:4d} {self.name}: {self.path}: recorded {self.recorded!r}, replayed {self.replayed!r}"


@dataclass
class Outcome:
    """`left_out`: exchanges that are not asked, by reason."""

    matched: int = 0
    differing: dict[int, list[Difference]] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)


class Replay:
    """One file against one fresh world."""

    def __init__(self, file: Path) -> None:
        self.lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        self.world = self.lines[0]
        self.emulator = Emulator(WorldSpec.model_validate(world_of(self.world)))
        self.bound: dict[str, str] = {}
        self.outcome = Outcome()

    def run(self) -> Outcome:
        loop = virtual_loop()
        try:
            loop.run_until_complete(self._all())
        finally:
            loop.close()
        return self.outcome

    async def _all(self) -> None:
        for line in self.lines[1:]:
            if "i" in line:
                await self._exchange(line)
            else:
                await self._event(line)

    async def _event(self, event: dict[str, Any]) -> None:
        if event["event"] == "chain":
            chain = self.emulator.chain
            spec = WorldSpec.model_validate(world_of({**self.world, "chain": {**self.world["chain"], **event}}))
            fresh = type(chain).of(spec)
            chain.statuses, chain.orders, chain.machine_orders = fresh.statuses, fresh.orders, fresh.machine_orders
        elif event["event"] == "wait":
            await asyncio.sleep(float(event.get("seconds", 1)))

    async def _exchange(self, line: dict[str, Any]) -> None:
        reason = left_out(line)
        if reason:
            self.outcome.left_out[reason] = self.outcome.left_out.get(reason, 0) + 1
            return
        answer = await self._ask(line)
        poll = line.get("poll")
        if poll:
            for _ in range(int(poll.get("seconds", 60)) * 2):
                if _at(_json(answer[1]), poll["path"]) == poll["until"]:
                    break
                await asyncio.sleep(0.5)
                answer = await self._ask(line)
            else:
                if poll.get("optional"):
                    return
        found = list(self._compare(line, answer))
        if found:
            self.outcome.differing[line["i"]] = found
        else:
            self.outcome.matched += 1

    async def _ask(self, line: dict[str, Any]) -> tuple[int | None, str]:
        request = line["request"]
        path, body = self._renamed(request["path"]), self._renamed(request.get("body") or "")
        try:
            return await self.emulator.clients["default"].handle(request["method"], path, _bytes(body))
        except DroppedError:
            return None, ""

    def _renamed(self, text: str) -> str:
        for recorded, replayed in self.bound.items():
            text = text.replace(recorded, replayed)
        return text

    def _compare(self, line: dict[str, Any], answer: tuple[int | None, str]) -> Iterator[Difference]:
        response, (status, text) = line["response"], answer
        if response["status"] != status:
            yield Difference(line["i"], line["name"], "status", response["status"], f"{status} {text[:120]}")
            return
        recorded, replayed = _json(response["body"]), _json(text)
        if line.get("compare") == "status and errcode only":
            recorded, replayed = recorded["errcode"], replayed["errcode"]
        for path, mine, theirs in self._walk("", recorded, replayed, set(line.get("volatile", ()))):
            yield Difference(line["i"], line["name"], path, mine, theirs)

    def _walk(self, path: str, recorded: Any, replayed: Any, volatile: set[str]) -> Iterator[tuple[str, Any, Any]]:
        generic = re.sub(r"\[[0-9]+\]", "[*]", path)
        if path in volatile or generic in volatile:
            if type(recorded) is not type(replayed):
                yield path, recorded, replayed
            elif isinstance(recorded, str) and len(recorded) > 5 and recorded != replayed:
                self.bound.setdefault(recorded, replayed)
        elif isinstance(recorded, dict) and isinstance(replayed, dict):
            for key in sorted(recorded.keys() | replayed.keys()):
                inner = f"{path}.{key}".lstrip(".")
                yield from self._walk(inner, recorded.get(key, "(absent)"), replayed.get(key, "(absent)"), volatile)
        elif isinstance(recorded, list) and isinstance(replayed, list) and len(recorded) == len(replayed):
            for index, pair in enumerate(zip(recorded, replayed, strict=True)):
                yield from self._walk(f"{path}[{index}]", *pair, volatile)
        elif (self._renamed(recorded) if isinstance(recorded, str) else recorded) != replayed:
            yield path, recorded, replayed


FAMILIES = ("/tasks", "/disk", "/mining_nodes", "/lan", "/bare_metal", "/rent_orders")
"""Endpoints of the kinds that there are."""


def left_out(line: dict[str, Any]) -> str:
    """Why an exchange is not asked; empty where it is."""
    request = line["request"]
    if request is None or request.get("body_spec") or line["response"].get("error"):
        return "no plain request"
    if line["node"] != "client":
        return f"asked of the {line['node']} node's own port"
    if line.get("compare") == "no":
        return "the recording says not to compare"
    path = request["path"].removeprefix("/api/v1")
    if not path.startswith(FAMILIES) or path.startswith(("/bare_metal/power", "/bare_metal/bootdev", "/tasks/logs")):
        return "an endpoint of other kinds"
    if (
        "Transfer-Encoding" in request["headers"]
        or request.get("version")
        or line["response"]["headers"].get("Content-Type", "").startswith("text/html")
    ):
        return "HTTP below the API"
    return ""


def _bytes(text: str) -> bytes:
    """A recorded body: bytes that are no UTF-8 stand in it as the text \\xNN."""
    return re.sub(rb"\\x([0-9a-f]{2})", lambda m: bytes.fromhex(m[1].decode()), text.encode())


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _at(value: Any, path: str) -> Any:
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value


__all__ = ["Difference", "Outcome", "Replay", "left_out"]
