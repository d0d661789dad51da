"""What nodes know of each other: a new one after some seconds, one that is gone for some minutes more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, Protocol

from dbc_iac.emulator.authority import Credentials
from dbc_iac.emulator.clock import Clock
from dbc_iac.emulator.gpu.request import NodeRequest
from dbc_iac.emulator.reply import Reply
from dbc_iac.emulator.world import VERSION, GossipSpec

Kind = Literal["gpu", "manager", "server"]
ALWAYS = float("-inf")


class Process(Protocol):
    """A running node that answers requests about one or more ids."""

    async def ask(self, target: str, op: str, credentials: Credentials, request: NodeRequest) -> Reply:
        """Raises ProcessDied and NeverAnswered."""
        ...


@dataclass(slots=True)
class Entry:
    """An id that is announced. `born`: since when (emulated seconds); `gone`: since when not any more; `keyed`: since
    when its process has the key that it has now; `clients`: names of those who hear of it, or all."""

    id: str
    kind: Kind
    name: str
    process: Process
    born: float = ALWAYS
    gone: float | None = None
    keyed: float = ALWAYS
    clients: tuple[str, ...] = ()
    version: str = VERSION


@dataclass(slots=True)
class Listener:
    """Who hears: `own`: its own process, whose ids it knows at once; `since`: when it was started."""

    name: str
    own: object = None
    since: float = ALWAYS


@dataclass(slots=True)
class Gossip:
    """All announcements of a world."""

    clock: Clock
    spec: GossipSpec
    entries: dict[str, Entry] = field(default_factory=dict)

    def announce(self, entry: Entry) -> None:
        self.entries[entry.id] = entry

    def withdraw(self, node_id: str) -> None:
        """Its owner speaks of it no more."""
        entry = self.entries.get(node_id)
        if entry is not None and entry.gone is None:
            entry.gone = self.clock.now()

    def back(self, node_id: str) -> None:
        """Its owner was started again, with a new key."""
        entry = self.entries[node_id]
        if entry.gone is not None and self.clock.now() - entry.gone > self.spec.expiry:
            entry.born = self.clock.now()
        entry.gone, entry.keyed = None, self.clock.now()

    def find(self, listener: Listener, node_id: str) -> Entry | None:
        entry = self.entries.get(node_id)
        return entry if entry is not None and self._hears(listener, entry) else None

    def known(self, listener: Listener, kind: Kind) -> Iterator[Entry]:
        """Sorted by id."""
        for node_id in sorted(self.entries):
            entry = self.entries[node_id]
            if entry.kind == kind and self._hears(listener, entry):
                yield entry

    def key_known(self, entry: Entry) -> bool:
        """Whether what is sent to it can be read there: its key is new after each start."""
        return entry.keyed + self.spec.delay <= self.clock.now()

    def _hears(self, listener: Listener, entry: Entry) -> bool:
        now = self.clock.now()
        if listener.own is not None and entry.process is listener.own:
            return entry.gone is None
        if entry.clients and listener.name not in entry.clients:
            return False
        if entry.gone is not None and now - entry.gone > self.spec.expiry:
            return False
        return max(entry.born, listener.since) + self.spec.delay <= now
