"""Replay of a recording of real nodes against the emulator, in order, on a virtual clock, with comparison.

Events of the recording change the emulated world. Requests contain the replay's own names.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dbc_iac.emulator import Network, WorldSpec
from dbc_iac.emulator.bare_metal.manager import ManagerProcess
from dbc_iac.emulator.http.answer import Dropped, Response
from dbc_iac.emulator.virtual_clock import close_loop, virtual_loop
from dbc_iac.emulator.world import MachineSpec, OrderSpec
from tests.conformance.bindings import Bindings
from tests.conformance.compare import differences, read_body, time_differences, value_at
from tests.conformance.excuses import Excuse, excuse_for, holds
from tests.conformance.recording import Event, Exchange, groups, read_recording, sent
from tests.conformance.worlds import chain_of, nodes_of, world_of

POLL_SECONDS = 0.25
_VERBS = {"start": "restart", "stop": "stop", "died": "die"}


@dataclass(frozen=True, slots=True)
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
    """`excused`: exchanges with excused differences; `skipped`: exchanges that cannot be compared;
    `unreplayed`: parts of the world and events that cannot be replayed.
    """

    matched: int = 0
    differing: dict[int, list[Difference]] = field(default_factory=dict)
    excused: dict[int, Excuse] = field(default_factory=dict)
    skipped: dict[int, str] = field(default_factory=dict)
    unreplayed: list[str] = field(default_factory=list)


def replayed(file: Path) -> Outcome:
    """Replay a recording. One without a replayable world is reported, and the others are still replayed."""
    try:
        return Replay(file).run()
    except Exception as error:
        return Outcome(unreplayed=[f"the world: {type(error).__name__}: {error}"])


class Replay:
    """Replay of one file against a fresh world."""

    def __init__(self, file: Path) -> None:
        self.recording = read_recording(file)
        self.world = self.recording.world
        self.network = Network(WorldSpec.model_validate(world_of(self.world)))
        self.bindings = Bindings()
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
        for group in groups(self.recording):
            await asyncio.gather(*(self._one(line) for line in group))

    async def _one(self, line: Event | Exchange) -> None:
        await (self._event(line) if isinstance(line, Event) else self._exchange(line))

    # -- the world ---------------------------------------------------------------------------------

    async def _set_states(self) -> None:
        """A node that is down at the start is gone, and forgotten unless the world says otherwise."""
        clients = nodes_of(self.world, "client")
        others = [node for key, node in self.world["nodes"].items() if key not in clients]
        gone = [node for node in others if node.get("state", "running") != "running"]
        for node in gone:
            self.network.process(node["node_id"]).stop()
        if any("still known" not in node["state"] for node in gone):
            await asyncio.sleep(self.network.spec.gossip.expiry + 1)
        for used in self.world.get("used_nonces") or []:
            self._use_up(used)

    def _use_up(self, used: str | Mapping[str, Any]) -> None:
        """A nonce that was sent before the first line: to one node, or to an unknown one."""
        nonce = used if isinstance(used, str) else str(used["nonce"])
        named = [] if isinstance(used, str) or "node" not in used else [self.world["nodes"][used["node"]]]
        ids = [node["node_id"] for node in named] or [*self.network.nodes, *self.network.managers]
        for node_id in ids:
            self.network.process(node_id).authority.nonces[nonce] = None

    async def _event(self, event: Event) -> None:
        try:
            await self._happen(event)
        except Exception as error:  # the exchanges after it show what did not happen
            self.outcome.unreplayed.append(f"{event.kind}: {type(error).__name__}: {error}")

    async def _happen(self, event: Event) -> None:
        values = event.values
        match event.kind:
            case "chain":
                self._change_chain(values)
            case "node":
                self._change_node(values["node"], values["state"])
            case "deeplink":
                self._change_deeplink(values)
            case "maintenance":
                manager = self._manager(values)
                self.network.keep(asyncio.ensure_future(manager.be_busy(float(values["seconds"]))))
                await asyncio.sleep(0)
            case "wait":
                await asyncio.sleep(float(values.get("seconds", 1)))
            case unknown:
                raise ValueError(f"{self.recording.name}: no such event: {unknown}")

    def _manager(self, values: Mapping[str, Any]) -> ManagerProcess:
        """The node that an event names; else the only one."""
        named = self.world["nodes"].get(values.get("node") or "bare_metal", {}).get("node_id")
        managers = self.network.managers
        return managers[named] if named in managers else next(iter(managers.values()))

    def _change_chain(self, values: Mapping[str, Any]) -> None:
        """Name in the replay of a recorded server, which may have been added."""
        values = json.loads(self.bindings.renamed(json.dumps(values)))
        chain = chain_of(self.world, values)
        orders = {k: OrderSpec.model_validate(o) for k, o in chain["orders"].items()}
        machines = {k: MachineSpec.model_validate(m) for k, m in chain["machines"].items()}
        self.network.chain.set(orders, machines, self.network.wallets)

    def _change_node(self, name: str, state: str) -> None:
        """A client node that already runs is not restarted: it would lose its gossip."""
        if name not in self.network.clients:
            process = self.network.process(self.world["nodes"][name]["node_id"])
            getattr(process, _VERBS[state])()
            return
        client = self.network.clients[name]
        if state != "start":
            client.die()
        elif not client.alive:
            client.restart()

    def _change_deeplink(self, values: Mapping[str, Any]) -> None:
        """Source address of the program, or that of its server."""
        manager = self._manager(values)
        ip = str(values.get("source_ip") or manager.servers.by_id[self.bindings.renamed(values["server"])].ip)
        if values["state"] == "connected":
            self.network.deeplinks.connect(ip, values["device_id"], values.get("device_password") or "")
        else:
            self.network.deeplinks.disconnect(ip)

    # -- exchanges ---------------------------------------------------------------------------------

    async def _exchange(self, line: Exchange) -> None:
        if not line.is_request:
            self.outcome.skipped[line.number] = "not a request"
            return
        try:
            began = asyncio.get_running_loop().time()
            answer = await self._ask(line)
            took = asyncio.get_running_loop().time() - began
            answer, met = await self._polled(line, answer)
        except Exception as error:  # any error is a difference of this exchange; the others are still compared
            self._differ(line, [("emulator", line.response["status"], repr(error))])
            return
        if not met and line.values["poll"].get("optional"):
            self.outcome.skipped[line.number] = "a passing status that is not met"
            return
        found = [*differences(line, answer, self.bindings), *time_differences(line, took)]
        if not found:
            self.outcome.matched += 1
            return
        excuse = excuse_for(self.recording.name, line)
        if excuse is not None and holds(excuse, line, answer):
            self.outcome.excused[line.number] = excuse
        else:
            self._differ(line, found)

    def _differ(self, line: Exchange, found: list[tuple[str, Any, Any]]) -> None:
        self.outcome.differing[line.number] = [Difference(line.number, line.name, *one) for one in found]

    async def _polled(self, line: Exchange, answer: Response | None) -> tuple[Response | None, bool]:
        """The last answer, and whether the awaited value appeared."""
        poll = line.values.get("poll")
        if not poll:
            return answer, True
        for _ in range(int(poll.get("seconds", 60) / POLL_SECONDS)):
            if value_at(read_body(answer.body) if answer else None, poll["path"]) == poll["until"]:
                return answer, True
            await asyncio.sleep(POLL_SECONDS)
            answer = await self._ask(line)
        return answer, False

    async def _ask(self, line: Exchange) -> Response | None:
        port = line.node if line.node in self.network.clients else self.world["nodes"][line.node]["node_id"]
        path, body = self.bindings.renamed(line.request["path"]), self.bindings.renamed(line.body)
        try:
            return await self.network.ask(port, line.request["method"], path, sent(body), line.head_bytes)
        except Dropped:
            return None


__all__ = ["Difference", "Outcome", "Replay"]
