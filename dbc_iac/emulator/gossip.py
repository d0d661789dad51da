"""Discovery between nodes: a new node is known after seconds, a vanished one is forgotten after minutes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, Protocol

from msgspec import Struct, field

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
        """Handle a request. Raises ProcessDied and NeverAnswered."""
        ...


class Entry(Struct):
    """An announced id. `born`: start of the announcement (emulated seconds); `gone`: its end; `keyed`: start of its
    current key; `clients`: names of the nodes that receive it, or all.
    """

    id: str
    kind: Kind
    name: str
    process: Process
    born: float = ALWAYS
    gone: float | None = None
    keyed: float = ALWAYS
    clients: tuple[str, ...] = ()
    version: str = VERSION


class Listener(Struct):
    """A receiver. `own`: its own process, whose ids are known at once; `since`: its start."""

    name: str
    own: object = None
    since: float = ALWAYS


class Gossip(Struct):
    """All announcements of a world."""

    clock: Clock
    spec: GossipSpec
    entries: dict[str, Entry] = field(default_factory=dict)

    def announce(self, entry: Entry) -> None:
        self.entries[entry.id] = entry

    def withdraw(self, node_id: str) -> None:
        """Stop announcing: the owner is gone."""
        entry = self.entries.get(node_id)
        if entry is not None and entry.gone is None:
            entry.gone = self.clock.now()

    def back(self, node_id: str) -> None:
        """Announce a restart of the owner, with a new key."""
        entry = self.entries[node_id]
        if entry.gone is not None and self.clock.now() - entry.gone > self.spec.expiry:
            entry.born = self.clock.now()
        entry.gone, entry.keyed = None, self.clock.now()

    def find(self, listener: Listener, node_id: str) -> Entry | None:
        entry = self.entries.get(node_id)
        return entry if entry is not None and self._hears(listener, entry) else None

    def known(self, listener: Listener, kind: Kind) -> Iterator[Entry]:
        """Known ids, sorted."""
        for node_id in sorted(self.entries):
            entry = self.entries[node_id]
            if entry.kind == kind and self._hears(listener, entry):
                yield entry

    def key_known(self, entry: Entry) -> bool:
        """Whether the target can decrypt messages: its key changes at each start."""
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
