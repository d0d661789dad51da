"""Connections to nodes with the credentials of the project's identities: a key is read when it is needed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from msgspec import Struct, field

from dbc_iac.address import Address
from dbc_iac.api.auth.credentials import (
    CollectedSignature,
    Credentials,
    MultisigCredentials,
    NodeKeyCredentials,
    SessionCredentials,
    WalletCredentials,
)
from dbc_iac.api.auth.keys import AddressError, KeyMaterialError, Sr25519Key, public_key_of, verify
from dbc_iac.api.auth.keystore import open_keystore
from dbc_iac.api.auth.sessions import SessionStore, cache_directory
from dbc_iac.api.channel import Channel, Connections
from dbc_iac.api.idempotency import CallEvent
from dbc_iac.api.transport import ClientNode
from dbc_iac.diagnostics import Diagnostic, DiagnosticError, ExitCode, Severity, failure
from dbc_iac.files.reading import MIB, file_problem, read_file, read_given, read_inside
from dbc_iac.json import load_json
from dbc_iac.kinds import Inventory
from dbc_iac.kinds.framework.route import Route
from dbc_iac.manifest.identities import IdentitySpec, MultisigSpec, WalletSpec
from dbc_iac.manifest.load import LoadedProject
from dbc_iac.manifest.secrets import IN_A_HEADER, SecretResolver
from dbc_iac.manifest.trust import refuse_untrusted
from dbc_iac.operations.runtime import Runtime
from dbc_iac.secret import SecretText

_MAX_BYTES = MIB
"""Bytes of a keystore, or of a file of signatures."""
_LOG = logging.getLogger("dbc_iac.api")


class Identities(Struct):
    """The credentials of a project by the name of their identity; each is made once. `base`: its directory.

    `returned` gets each secret of a reply.
    """

    __repr__ = object.__repr__  # it holds credentials

    loaded: LoadedProject
    inventory: Inventory
    resolver: SecretResolver
    runtime: Runtime
    base: Path
    returned: Callable[[SecretText], None]
    _made: dict[str, Credentials] = field(default_factory=dict)
    _preparing: dict[tuple[str, str], asyncio.Task[object]] = field(default_factory=dict)

    def connections(self, *, offline: bool = False) -> Connections:
        """New connections to all client nodes, with the sessions that are cached on this machine.

        `offline`: without client nodes, to plan from the state alone; no secret in their headers is read.
        """
        if not offline:
            refuse_untrusted(self.runtime.environ, "reach client nodes")
        clients = {
            name: ClientNode(
                name,
                spec.url,
                {k: self.resolver.fitting(v, IN_A_HEADER) for k, v in spec.headers.items()},
                spec.max_in_flight,
                self.runtime.transport(name),
                insecure_http=spec.insecure_http,
            )
            for name, spec in ({} if offline else self.loaded.project.clients).items()
        }
        sessions = SessionStore(cache_directory(self.runtime.environ))
        return Connections(clients, sessions, self.runtime.uuid, self._report_request, self.runtime.turn, self.returned)

    def _report_request(self, event: CallEvent) -> None:
        """Log a request without its body and its answer, which may hold secrets, and pass it on."""
        milliseconds = (event.ended - event.started) * 1000
        arguments = (event.method, event.path, event.target[:8] or "-", event.client, event.outcome, milliseconds)
        _LOG.debug("%s %s target=%s client=%s %s %.0f ms", *arguments)
        self.runtime.called(event)

    async def connect(self, connections: Connections, route: Route) -> Channel:
        """The channel to a target. Keys are read once, in a thread: a program may take seconds to print one.

        Raises DiagnosticError as `channel` does.
        """
        name = route.identity
        if name not in self._made:
            spec = self.loaded.project.identities.get(name)
            key = (name, route.name if spec is not None and spec.sessions is not None else "")
            if key not in self._preparing:
                task = asyncio.create_task(asyncio.to_thread(self.credentials, name, route))
                task.add_done_callback(lambda done: (self._preparing.pop(key), done.cancelled() or done.exception()))
                self._preparing[key] = task
            await asyncio.shield(self._preparing[key])
        return self.channel(connections, route)

    def channel(self, connections: Connections, route: Route) -> Channel:
        """The channel to a target, with the credentials of its identity. Raises DiagnosticError."""
        credentials = self.credentials(route.identity, route)
        if route.url:  # the target is its own client node
            if route.name not in connections.nodes:
                connections.nodes[route.name] = self._target_as_client(route)
            clients: tuple[str, ...] = (route.name,)
        else:  # the state may name a client node that is gone
            clients = tuple(c for c in route.clients if c in connections.nodes) or tuple(self.loaded.project.clients)
        return Channel(connections, route.target, credentials, clients, route.rent_order or None, route.target)

    def _target_as_client(self, route: Route) -> ClientNode:
        """The target as its own client node, for an identity with a node key. Only a manifest allows plain http.

        A URL from the state or a plan file alone could lead signatures to anybody. Raises DiagnosticError.
        """
        asked = [r.spec for r in self.inventory.resources.values() if getattr(r.spec, "url", None) == route.url]
        insecure = any(getattr(spec, "insecure_http", False) for spec in asked)
        with suppress(ValueError):
            if self.loaded.project.identities[route.identity].type == "nodeKey":
                return ClientNode(
                    route.name, route.url, transport=self.runtime.transport(route.name), insecure_http=insecure
                )
        raise failure(
            "untrusted-route",
            f"the URL of {route.name} is in no manifest",
            f"Only the state or the plan file has {route.url[:40]}. A request to it would reveal a signature.",
            "Add the BareMetalManager with its `url` to the manifests.",
            exit_code=ExitCode.REFUSED,
        )

    def credentials(self, name: str, route: Route) -> Credentials | None:
        """The credentials of an identity for a target. Raises DiagnosticError for a missing or a wrong key."""
        spec = self.loaded.project.identities.get(name)
        if spec is None:
            raise self._problem(name, "not in the project file", "Add it to `identities`.")
        if spec.sessions is not None:
            return self._session(name, spec, route)
        if name not in self._made:
            try:
                self._made[name] = self._make(name, spec)
            except (KeyMaterialError, ValueError, OSError) as error:
                raise self._problem(name, str(error), "Correct the key of this identity.") from None
        return self._made[name]

    def _session(self, name: str, spec: IdentitySpec, route: Route) -> SessionCredentials:
        sessions = spec.sessions or {}
        node = Address(route.name).name
        pair = sessions.get(node) or sessions.get(route.target)
        if pair is None:
            raise self._problem(name, f"no session for {route.name}", f"Add `{node}: {{id: ..., sign: ...}}` to it.")
        return SessionCredentials(self.resolver.resolve(pair.id), self.resolver.resolve(pair.sign))

    def _make(self, name: str, spec: IdentitySpec) -> Credentials:
        if spec.node_key is not None:
            return NodeKeyCredentials(Sr25519Key.from_seed(self.resolver.resolve(spec.node_key)))
        made: MultisigCredentials | WalletCredentials
        if spec.multisig is not None:
            made = self._multisig(spec.multisig)
        else:
            assert spec.wallet is not None  # noqa: S101 - exactly one form was given
            made = WalletCredentials(self._key(spec.wallet))
        if spec.address is not None and spec.address != made.account:
            summary = f"the key is of {made.account}, not of {spec.address}"
            raise self._problem(name, summary, "Correct `address` or the key.")
        return made

    def _key(self, spec: WalletSpec) -> Sr25519Key:
        if spec.seed is not None:
            return Sr25519Key.from_seed(self.resolver.resolve(spec.seed))
        if spec.mnemonic is not None:
            return Sr25519Key.from_mnemonic(self.resolver.resolve(spec.mnemonic), spec.path)
        assert spec.keystore is not None  # noqa: S101 - exactly one form was given
        password = self.resolver.resolve(spec.keystore.password)  # first: it is refused to an untrusted project
        return open_keystore(_text_of(self.base / spec.keystore.file, read_file), password)

    def _multisig(self, spec: MultisigSpec) -> MultisigCredentials:
        collected: list[CollectedSignature] = []
        if spec.signs is not None:
            file = self.base / spec.signs.file
            collected = collected_signatures(file, lambda path, most: read_inside(path, self.base, most))
        return MultisigCredentials(spec.wallets, spec.threshold, [self._key(s) for s in spec.signers], collected)

    def wallets(self, name: str) -> frozenset[str]:
        """The wallet addresses of an identity; empty if they are not known."""
        spec = self.loaded.project.identities.get(name)
        if spec is None:
            return frozenset()
        if spec.address is not None:
            return frozenset({spec.address})
        made = self._made.get(name)
        return frozenset({made.account}) if isinstance(made, WalletCredentials | MultisigCredentials) else frozenset()

    def _problem(self, name: str, summary: str, remedy: str) -> DiagnosticError:
        place = self.loaded.place(f"identities.{name}")
        problem = Diagnostic("identity", Severity.ERROR, f"identity {name}: {summary}", remedy=remedy, source=place)
        return DiagnosticError(problem)


def _text_of(file: Path, read: Callable[[Path, int], bytes]) -> str:
    """The text of a file with key material. Raises ValueError."""
    try:
        return read(file, _MAX_BYTES).decode("utf-8-sig")
    except OSError as error:
        raise ValueError(file_problem(file, error).summary) from None
    except UnicodeDecodeError:
        raise ValueError(f"{file} is not UTF-8") from None


def collected_signatures(file: Path, read: Callable[[Path, int], bytes] = read_given) -> list[CollectedSignature]:
    """Signatures that members made elsewhere, each verified. Raises ValueError."""
    text = _text_of(file, read)
    try:
        entries = load_json(text)
        if not isinstance(entries, list):
            raise TypeError
        found = [CollectedSignature(str(e["wallet"]), str(e["nonce"]), str(e["sign"])) for e in entries]
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{file} is not a JSON list of {{wallet, nonce, sign}}") from None
    for one in found:
        if not _verifies(one):
            raise ValueError(f"invalid signature in {file}: it is not by {one.wallet[:60]} over its nonce")
    return found


def _verifies(one: CollectedSignature) -> bool:
    try:
        return verify(public_key_of(one.wallet), one.nonce, one.sign)
    except AddressError:
        return False
