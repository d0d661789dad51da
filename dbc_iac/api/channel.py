"""Requests to one target: its client nodes, credentials, rent order and lane.

A `Channel` sends one request at a time to its target's process, tries the next client node if one certainly did not
forward the request, and returns an `Outcome` in every case. It never repeats a call that may have been carried out; a
read is sent once more when its connection breaks.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from uuid import UUID

from msgspec import Struct, field

from dbc_iac.api.auth.credentials import (
    Credentials,
    MultisigCredentials,
    NodeKeyCredentials,
    NoSignatureLeft,
    SessionCredentials,
    SessionOwner,
    WalletCredentials,
)
from dbc_iac.api.auth.keys import Nonce, SessionId
from dbc_iac.api.auth.sessions import SessionStore
from dbc_iac.api.http import Reply
from dbc_iac.api.idempotency import CallClass, CallEvent
from dbc_iac.api.outcome import Done, Effect, NotSent, Outcome, RefusalKind, Refused, Unknown, classify
from dbc_iac.api.responses import read
from dbc_iac.api.transport import ClientNode
from dbc_iac.api.wire_types import UnsafeWireValue, check_json
from dbc_iac.json import Json
from dbc_iac.secret import SecretText

Envelope = dict[str, Json]
Authority = Callable[[], Envelope]
"""Makes the credentials of one attempt. Each attempt needs new ones: a failed attempt may have used its nonce."""


class NoTurn(Exception):  # noqa: N818 - the end of a wait, not a fault
    """A request may not be sent. The message is the reason."""


Turn = Callable[[str, ClientNode, str, CallClass], AbstractAsyncContextManager[None]]
"""The turn of one request among processes: its target (may be empty), client node, path and class. Raises NoTurn."""


class Connections(Struct, eq=False):
    """Resources shared by channels: client nodes by name, sessions, the source of randomness, and the observer."""

    nodes: dict[str, ClientNode]
    sessions: SessionStore
    uuids: Callable[[], UUID]
    observer: Callable[[CallEvent], None] | None = None
    turn: Turn | None = None
    """Within it a request is sent; without one, this process is alone."""
    returned: Callable[[SecretText], None] = lambda _: None
    """Gets each secret of a reply, which nothing may show from then on."""
    lanes: dict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))
    """Locks that serialise requests to one target process across client nodes."""

    def nonce(self) -> Nonce:
        return Nonce(self.uuids())

    async def __aenter__(self) -> Connections:
        return self

    async def __aexit__(self, *_: object) -> None:
        for node in self.nodes.values():
            await node.aclose()


_SESSION = "/mining_nodes/session_id"


class _Request(Struct, frozen=True):
    path: str
    additional: Mapping[str, object]
    call_class: CallClass
    names_target: bool = True
    for_read: bool = False
    """Obtains the session for a read."""

    @property
    def skippable(self) -> bool:
        """Whether the request is not sent while the client node answers no reads."""
        return self.call_class is CallClass.READ or self.for_read

    @property
    def only_reads(self) -> bool:
        """Whether the request may be sent again when its connection breaks. A wallet always gets the same session."""
        return self.call_class is CallClass.READ or self.path == _SESSION


class Channel(Struct, frozen=True):
    """`target` is a node id; `clients` are tried in order. `lane` is the process that serves the target, if that is
    another one, such as the manager of a server. All methods raise UnsafeWireValue before anything is sent."""

    connections: Connections
    target: str
    credentials: Credentials | None
    clients: Sequence[str]
    rent_order: str | None = None
    lane: str | None = None

    async def read_public(self, path: str, additional: Mapping[str, object] | None = None) -> Outcome[object]:
        """Read public data of the target, without credentials."""
        return await self._send(_Request(path, additional or {}, CallClass.READ), Envelope)

    async def ask_client(self, path: str, additional: Mapping[str, object] | None = None) -> Outcome[object]:
        """Read from the client node itself: the request names no target."""
        return await self._send(_Request(path, additional or {}, CallClass.READ, names_target=False), Envelope)

    async def act(self, path: str, additional: Mapping[str, object], call_class: CallClass) -> Outcome[object]:
        """Make a call with credentials. Another client node is tried only if the last one did not forward it."""
        request = _Request(path, additional, call_class)
        match self.credentials:
            case None:
                return await self._send(request, Envelope)
            case SessionCredentials() as session:
                return await self._send(request, session.envelope)
            case NodeKeyCredentials() as owner:
                return await self._send(request, lambda: owner.signed(self.connections.nonce))
            case MultisigCredentials(signs_sessions=False) as owner:
                return await self._freshly_signed(request, owner)
            case WalletCredentials() | MultisigCredentials() as owner:
                return await self._with_session(request, owner)

    async def signed(self, path: str, additional: Mapping[str, object], call_class: CallClass) -> Outcome[object]:
        """Make a call with a new signature instead of a session. For the few calls that do not accept a session."""
        credentials = self.credentials
        if credentials is None or isinstance(credentials, SessionCredentials):
            return _local_refusal("this call needs a wallet's signature; a session is not enough")
        request = _Request(path, additional, call_class)
        return await self._freshly_signed(request, credentials)

    async def _freshly_signed(
        self, request: _Request, owner: WalletCredentials | MultisigCredentials | NodeKeyCredentials
    ) -> Outcome[object]:
        """Send with new signatures. An earlier process may have used collected ones: then the next ones are tried."""
        while True:
            outcome = await self._send(request, lambda: owner.signed(self.connections.nonce))
            used = isinstance(outcome, Refused) and _USED_NONCE in outcome.message
            if not used or not isinstance(owner, MultisigCredentials) or not owner.collects:
                return outcome

    async def session(self, *, for_read: bool = False) -> Outcome[SessionCredentials]:
        """The session of this wallet at the target: the stored one, or a new one.

        `for_read`: none is requested while the client node answers no reads.
        """
        owner, store = self.credentials, self.connections.sessions
        if isinstance(owner, SessionCredentials):
            return Done(owner)
        if owner is None or isinstance(owner, NodeKeyCredentials):
            return _local_refusal("only a wallet can obtain a session")
        if (kept := self.kept_session()) is not None:
            return Done(kept)
        async with store.lock(self.target, owner):
            if (kept := self.kept_session()) is not None:  # obtained by another call meanwhile
                return Done(kept)
            request = _Request(_SESSION, {}, CallClass.IDEMPOTENT, for_read=for_read)
            given = session_id_of(await self._freshly_signed(request, owner), self.target)
            if not isinstance(given, Done):
                return given
            obtained = owner.session(given.value)
            store.save(self.target, owner, obtained)
            self._secret(obtained)
            return Done(obtained)

    def kept_session(self) -> SessionCredentials | None:
        """The stored session of this wallet at the target. Its use needs no signature."""
        match self.credentials:
            case WalletCredentials() | MultisigCredentials() as owner:
                kept = self.connections.sessions.load(self.target, owner)
                self._secret(kept)
                return kept
            case _:
                return None

    def _secret(self, session: SessionCredentials | None) -> None:
        for secret in (session.id, session.sign) if session is not None else ():
            self.connections.returned(secret)

    async def _with_session(self, request: _Request, owner: SessionOwner) -> Outcome[object]:
        for _ in range(2):
            session = await self.session(for_read=request.call_class is CallClass.READ)
            if isinstance(session, Unknown):
                return NotSent(f"no session could be obtained: {session.message}")  # the call itself was not made
            if not isinstance(session, Done):
                return session
            outcome = await self._send(request, session.value.envelope)
            if not isinstance(outcome, Refused) or not outcome.session_invalid:
                break
            # The target has lost its sessions: obtain a new one, once.
            self.connections.sessions.drop(self.target, owner, session.value)
        return outcome

    async def _send(self, request: _Request, authority: Authority) -> Outcome[object]:
        """Send through the first client node that forwards the request."""
        # Nodes know only lower-case hexadecimal ids; a value that is no string crashes the process.
        known = isinstance(self.target, str) and re.fullmatch("[0-9a-f]{64}", self.target)
        if request.names_target and not known:
            raise UnsafeWireValue("a target is a node id of 64 lower-case hexadecimal digits")
        # The node inserts it, unquoted, into its query to the chain.
        if self.rent_order and not re.fullmatch("[0-9]{1,20}", self.rent_order):
            raise UnsafeWireValue("a rent order is 1 to 20 digits")
        envelope: Envelope = {
            "peer_nodes_list": [self.target] if request.names_target else [],
            "additional": check_json("additional", request.additional),
            **({"rent_order": self.rent_order} if self.rent_order else {}),
        }
        missed: list[NotSent] = []
        # Without a target, only the limit of the client node applies.
        async with self.connections.lanes[self.lane or self.target] if request.names_target else nullcontext():
            for name in self.clients:
                node = self.connections.nodes[name]
                try:
                    outcome = await self._attempt(node, request, {**envelope, **authority()})
                    if isinstance(outcome, Unknown) and outcome.broke and request.only_reads:
                        # The node may have closed an idle connection before the time it announced.
                        outcome = await self._attempt(node, request, {**envelope, **authority()})
                except NoSignatureLeft as error:
                    return _local_refusal(str(error))
                if not isinstance(outcome, NotSent):
                    return outcome
                missed.append(outcome)
        return _none_sent(missed)

    async def _attempt(self, node: ClientNode, request: _Request, envelope: Envelope) -> Outcome[object]:
        body = json.dumps(envelope, ensure_ascii=False).encode()
        shared, clock = self.connections, asyncio.get_running_loop().time
        async with node.turn:
            started = clock()
            try:
                target = self.lane or self.target if request.names_target else ""
                async with (
                    shared.turn(target, node, request.path, request.call_class) if shared.turn else nullcontext()
                ):
                    read_of = target if request.skippable else None
                    reply = await node.post(request.path, body, request.call_class, read_of=read_of)
            except NoTurn as error:
                return NotSent(str(error))
        ended = clock()
        if isinstance(reply, Reply) and reply.status == 200 and request.only_reads:
            # The next request goes out before this answer is read. Other answers may ask for a pause.
            await asyncio.sleep(0)
        outcome: Outcome[object]
        if isinstance(reply, Reply):
            outcome = classify(reply.status, reply.content_type, reply.body, request.path)
            if isinstance(outcome, NotSent) and outcome.retry_after:
                node.pause(outcome.retry_after)
        else:
            outcome = reply
        if shared.observer is not None:
            kind = _KIND_OF[type(outcome)]
            shared.observer(
                CallEvent("POST", request.path, self.target, node.name, request.call_class, started, ended, kind)
            )
        return outcome


_USED_NONCE = "nonce check failed"
_KIND_OF: Mapping[type, str] = {Done: "done", Refused: "refused", NotSent: "notSent", Unknown: "unknown"}


def bad_session_id(target: str) -> str:
    """Message about a target that answered a session request without a session id."""
    return f"node {target[:8]} sent no valid session id; its text was not signed"


def session_id_of(reply: Outcome[object], target: str) -> Outcome[SessionId]:
    """The session id of a reply. Text of another form is refused, and never signed."""
    if not isinstance(reply, Done):
        return reply
    try:
        return Done(SessionId(SecretText(read(str, reply.value, "session_id"))))
    except ValueError:  # a ShapeError is one, too
        return _local_refusal(bad_session_id(target))


def _none_sent(missed: Sequence[NotSent]) -> NotSent:
    """The combined result if no client node forwarded the request."""
    if not missed:
        return NotSent("no client node is configured")
    pauses = [one.retry_after for one in missed]
    return NotSent(
        "; ".join(dict.fromkeys(one.message for one in missed)),
        # Waiting helps only if all of them are overloaded.
        min((s for s in pauses if s is not None), default=None) if None not in pauses else None,
        target_unknown=any(one.target_unknown for one in missed),
    )


def _local_refusal(message: str) -> Refused:
    """A refusal by dbc-iac itself: nothing was sent."""
    return Refused(message, 0, 0, Effect.NONE, False, RefusalKind.AUTHORITY)
