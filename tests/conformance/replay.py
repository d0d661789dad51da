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

from dbc_iac.cli.virtual import close_loop, virtual_loop
from dbc_iac.emulator import Network, WorldSpec
from dbc_iac.emulator.http.answer import Dropped, Response
from dbc_iac.emulator.world import MachineSpec, OrderSpec
from tests.conformance.worlds import chain_of, world_of

POLL_SECONDS = 0.25
_HEX_64 = re.compile(r"[0-9a-f]{64}")
_DATE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")


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
    """`left_out`: exchanges that are not compared, by reason."""

    matched: int = 0
    differing: dict[int, list[Difference]] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)


class Replay:
    """One file against one fresh world."""

    def __init__(self, file: Path) -> None:
        self.lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        self.world = self.lines[0]
        self.network = Network(WorldSpec.model_validate(world_of(self.world)))
        self.bound: dict[str, str] = {}
        self.outcome = Outcome()

    def run(self) -> Outcome:
        loop = virtual_loop()
        try:
            loop.run_until_complete(self._all())
        finally:
            close_loop(loop)
        return self.outcome

    async def _all(self) -> None:
        self.network.begin()
        await self._set_states()
        lines = self.lines[1:]
        while lines:
            together = _at_the_same_time(lines)
            if together > 1:
                await asyncio.gather(*(self._exchange(line) for line in lines[:together]))
            elif "i" in lines[0]:
                await self._exchange(lines[0])
            else:
                await self._event(lines[0])
            lines = lines[together:]

    async def _set_states(self) -> None:
        """A node that does not run at the beginning is gone, and forgotten unless the world says otherwise."""
        gone = [n for k, n in self.world["nodes"].items() if k != "client" and n["state"] != "running"]
        for node in gone:
            self.network.process(node["node_id"]).stop()
        if any("still known" not in node["state"] for node in gone):
            await asyncio.sleep(self.network.spec.gossip.expiry + 1)

    async def _event(self, event: dict[str, Any]) -> None:
        network = self.network
        match event["event"]:
            case "chain":
                chain = chain_of(self.world, event)
                orders = {k: OrderSpec.model_validate(o) for k, o in chain["orders"].items()}
                machines = {k: MachineSpec.model_validate(m) for k, m in chain["machines"].items()}
                network.chain.set(orders, machines, network.wallets)
            case "node" if event["node"] != "client":
                process = network.process(self.world["nodes"][event["node"]]["node_id"])
                {"start": process.restart, "stop": process.stop, "died": process.die}[event["state"]]()
            case "deeplink":
                server = self._server(event)
                if event["state"] == "connected":
                    network.deeplinks.connect(server, event["device_id"], event["device_password"])
                else:
                    network.deeplinks.disconnect(server)
            case "maintenance":
                manager = network.managers[self.world["nodes"]["bare_metal"]["node_id"]]
                network.keep(asyncio.ensure_future(manager.be_busy(float(event["seconds"]))))
                await asyncio.sleep(0)
            case "wait":
                await asyncio.sleep(float(event.get("seconds", 1)))

    def _server(self, event: dict[str, Any]) -> str:
        """The address that a DeepLink program comes from."""
        manager = self.network.managers[self.world["nodes"]["bare_metal"]["node_id"]]
        return str(event.get("source_ip") or manager.servers.by_id[event["server"]].ip)

    async def _exchange(self, line: dict[str, Any]) -> None:
        if line["request"] is None:
            self._leave_out("not a request")
            return
        answer = await self._ask(line)
        poll = line.get("poll")
        if poll:
            for _ in range(int(poll.get("seconds", 60) / POLL_SECONDS)):
                if _at(_json(_text(answer)), poll["path"]) == poll["until"]:
                    break
                await asyncio.sleep(POLL_SECONDS)
                answer = await self._ask(line)
            else:
                if poll.get("optional"):
                    self._leave_out("a passing status that is not met")
                    return
        if line.get("compare") == "no":
            self._leave_out("the recording says not to compare")
            return
        found = list(self._compare(line, answer))
        if found:
            self.outcome.differing[line["i"]] = found
        else:
            self.outcome.matched += 1

    def _leave_out(self, reason: str) -> None:
        self.outcome.left_out[reason] = self.outcome.left_out.get(reason, 0) + 1

    async def _ask(self, line: dict[str, Any]) -> Response | None:
        request = line["request"]
        port = "client" if line["node"] == "client" else self.world["nodes"][line["node"]]["node_id"]
        path, body = self._renamed(request["path"]), self._renamed(_body(request))
        header_bytes = sum(len(name) + len(str(value)) + 4 for name, value in request["headers"].items())
        try:
            return await self.network.ask(port, request["method"], path, _bytes(body), header_bytes)
        except Dropped:
            return None

    def _renamed(self, text: str) -> str:
        for recorded, replayed in self.bound.items():
            text = text.replace(recorded, replayed)
        return text

    def _compare(self, line: dict[str, Any], answer: Response | None) -> Iterator[Difference]:
        response, text = line["response"], _text(answer)
        for path, mine, theirs in self._parts(line, response, answer, text):
            yield Difference(line["i"], line["name"], path, mine, theirs)

    def _parts(
        self, line: dict[str, Any], response: dict[str, Any], answer: Response | None, text: str
    ) -> Iterator[tuple[str, Any, Any]]:
        if response["status"] is None or answer is None:
            if response["status"] is not None or answer is not None:
                yield "answer", response["status"] or response.get("error"), text[:120] if answer else "none"
            return
        if response["status"] != answer.status:
            yield "status", response["status"], f"{answer.status} {text[:120]}"
            return
        if not response["headers"].get("Content-Type", "application/json").startswith(answer.content_type):
            yield "content type", response["headers"].get("Content-Type"), answer.content_type
        if line["request"]["method"] == "HEAD":
            return
        if line.get("not_json"):
            if not self._pattern(response["body"], line.get("volatile_text", ())).fullmatch(text.strip()):
                yield "text", response["body"], text
            return
        recorded, replayed = _json(response["body"]), _json(text)
        if line.get("compare") == "status and errcode only":
            recorded, replayed = recorded["errcode"], replayed["errcode"]
        order = line.get("any_order", {})
        yield from self._walk("", recorded, replayed, set(line.get("volatile", ())), order)

    def _pattern(self, text: str, volatile: list[str]) -> re.Pattern[str]:
        """A text that is no JSON, with its volatile parts left open."""
        masked = re.escape(self._renamed(text.strip()))
        for part in volatile:
            masked = masked.replace(re.escape(self._renamed(part)), ".+?", 1)
        return re.compile(masked, re.DOTALL)

    def _walk(
        self, path: str, recorded: Any, replayed: Any, volatile: set[str], order: dict[str, str]
    ) -> Iterator[tuple[str, Any, Any]]:
        generic = re.sub(r"\[[0-9]+\]", "[*]", path)
        if path in volatile or generic in volatile:
            yield from self._bind(path, recorded, replayed)
        elif isinstance(recorded, dict) and isinstance(replayed, dict):
            for key in sorted(recorded.keys() | replayed.keys()):
                inner = f"{path}.{key}".lstrip(".")
                pair = recorded.get(key, "(absent)"), replayed.get(key, "(absent)")
                yield from self._walk(inner, *pair, volatile, order)
        elif isinstance(recorded, list) and isinstance(replayed, list) and len(recorded) == len(replayed):
            if path in order:
                recorded, replayed = (
                    sorted(items, key=lambda i: str(i[order[path]])) for items in (recorded, replayed)
                )
            for index, pair in enumerate(zip(recorded, replayed, strict=True)):
                yield from self._walk(f"{path}[{index}]", *pair, volatile, order)
        elif (self._renamed(recorded) if isinstance(recorded, str) else recorded) != replayed:
            yield path, recorded, replayed

    def _bind(self, path: str, recorded: Any, replayed: Any) -> Iterator[tuple[str, Any, Any]]:
        """The same kind of value; a text that was seen before is the same one again."""
        if type(recorded) is not type(replayed):
            yield path, recorded, replayed
            return
        if not isinstance(recorded, str):
            return
        for shape in (_HEX_64, _DATE):
            if shape.fullmatch(recorded) and not shape.fullmatch(replayed):
                yield path, recorded, replayed
        if len(recorded) > 5 and recorded != replayed and not _DATE.fullmatch(recorded):
            self.bound.setdefault(recorded, replayed)


def _at_the_same_time(lines: list[dict[str, Any]]) -> int:
    """How many of the next exchanges were sent together: those that all took the whole time-out, of one node."""
    count = 0
    for line in lines:
        if "i" not in line or "a moment ago" not in line["name"]:
            break
        count += 1
    return max(1, count)


def _body(request: dict[str, Any]) -> str:
    spec = request.get("body_spec")
    if spec:
        return str(spec["prefix"] + spec["repeat"] * spec["times"] + spec["suffix"])
    body = request.get("body") or ""
    if request["headers"].get("Transfer-Encoding") == "chunked":
        return "".join(body.split("\r\n")[1:-2:2])
    return str(body)


def _bytes(text: str) -> bytes:
    """A recorded body: bytes that are no UTF-8 stand in it as the text \\xNN."""
    return re.sub(rb"\\x([0-9a-f]{2})", lambda m: bytes.fromhex(m[1].decode()), text.encode())


def _text(answer: Response | None) -> str:
    return "" if answer is None else answer.body


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return " ".join(text.split())


def _at(value: Any, path: str) -> Any:
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value


__all__ = ["Difference", "Outcome", "Replay"]
