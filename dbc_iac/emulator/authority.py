"""Authorisation of requests on a machine, evaluated by the target from the chain, nonces and sessions."""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct, field

from dbc_iac.emulator.chain import RENTED, UNRENTED, VERIFYING, OrderCache
from dbc_iac.emulator.crypto import multisig_account, session_id, verifies
from dbc_iac.emulator.reply import RefusedError

MAX_NONCES = 1_000_000


class Caller(Struct, frozen=True):
    """An authorised caller: wallet, role, and the order named in the request (may be empty)."""

    wallet: str
    role: Literal["wallet", "session", "verifier"]
    rent_order: str


class Credentials(Struct, frozen=True):
    """Credentials of a request. `multisig`: (wallets, threshold, signs)."""

    session: tuple[str, str] = ("", "")
    wallet: tuple[str, str, str] = ("", "", "")
    multisig: tuple[list[str], int, list[tuple[str, str, str]]] | None = None
    rent_order: str = ""

    def without_session(self) -> Credentials:
        return Credentials(("", ""), self.wallet, self.multisig, self.rent_order)


class Session(Struct):
    """A session id and the wallets whose signature over it is accepted."""

    id: str
    signers: frozenset[str]


class Authority(Struct):
    """Nonces, sessions and orders in the memory of one target process. Only sessions survive a restart."""

    cache: OrderCache
    random: random.Random
    sessions: dict[str, Session] = field(default_factory=dict)
    nonces: OrderedDict[str, None] = field(default_factory=OrderedDict)
    planned: dict[str, str] = field(default_factory=dict)
    """Session ids set by the world file, by account."""

    def authorise(self, machine: str, credentials: Credentials) -> Caller:
        """Authorise a request. Raises RefusedError with the node's own text."""
        status = self.cache.chain.status(machine)
        self.cache.refresh(machine, credentials.rent_order)
        if status in UNRENTED:
            raise refusal("machine is not be rented")
        if status in VERIFYING:
            return self._verifier(machine, credentials)
        if status not in RENTED:
            raise refusal("query machine_status failed")
        return self._renter(credentials)

    def is_unrented(self, machine: str) -> bool:
        return self.cache.chain.status(machine) in UNRENTED | RENTED

    def session_of(self, caller: Caller) -> str:
        session = self.sessions.get(caller.wallet)
        return session.id if session is not None else ""

    def fresh(self, wallet: str, nonce: str, sign: str) -> bool:
        """Whether a signature over a nonce is valid and the nonce unused; marks it as used."""
        if nonce in self.nonces or not verifies(wallet, nonce, sign):
            return False
        self.nonces[nonce] = None
        if len(self.nonces) > MAX_NONCES:
            self.nonces.popitem(last=False)
        return True

    def restart(self) -> None:
        """Restart the process: nonces and orders were only in memory."""
        self.nonces.clear()
        self.cache.orders.clear()

    def _verifier(self, machine: str, credentials: Credentials) -> Caller:
        """Authorise a verifier. Sessions are ignored."""
        signers = self._signers(credentials)
        if not signers:
            raise refusal("nonce check failed")
        for account in signers:
            if self.cache.chain.verifies_now(machine, account):
                return Caller(account, "verifier", credentials.rent_order)
        raise refusal("not in verify time")

    def _renter(self, credentials: Credentials) -> Caller:
        """Authorise a renter. An invalid session falls back to the wallet; a valid one of an ended order is refused."""
        by_session = self._session(credentials.session)
        if by_session is not None:
            if self.cache.renting(by_session, credentials.rent_order) is None:
                raise refusal("machine has already expired")
            return Caller(by_session, "session", credentials.rent_order)
        signers = self._signers(credentials)
        if not signers:
            raise refusal("session_id is invalid" if all(credentials.session) else "nonce check failed")
        for account, members in signers.items():
            if self.cache.renting(account, credentials.rent_order) is None:
                continue
            if account not in self.sessions:
                self.sessions[account] = Session(self.planned.get(account) or session_id(self.random), members)
            return Caller(account, "wallet", credentials.rent_order)
        raise refusal("wallet not rented")

    def _session(self, pair: tuple[str, str]) -> str | None:
        session, sign = pair
        if not session or not sign:
            return None
        for wallet, known in self.sessions.items():
            if known.id == session and any(verifies(s, session, sign) for s in known.signers):
                return wallet
        return None

    def _signers(self, credentials: Credentials) -> dict[str, frozenset[str]]:
        """Accounts that signed fresh nonces, the multisig first, with the wallets that may sign their sessions.

        Every wallet of a multisig may, including one that did not sign the request that created the session.
        """
        found: dict[str, frozenset[str]] = {}
        if credentials.multisig is not None and credentials.multisig[2]:
            wallets, threshold, signs = credentials.multisig
            if all(w in wallets and self.fresh(w, n, s) for w, n, s in signs):
                account = multisig_account(wallets, threshold)
                if account is not None:
                    found[account] = frozenset(wallets)
        wallet, nonce, sign = credentials.wallet
        if wallet and nonce and sign and self.fresh(wallet, nonce, sign):
            found.setdefault(wallet, frozenset({wallet}))
        return found

    # -- saving and loading ------------------------------------------------------------------------

    def to_state(self) -> dict[str, Any]:
        return {
            "sessions": {w: {"id": s.id, "signers": sorted(s.signers)} for w, s in self.sessions.items()},
            "nonces": list(self.nonces),
            "orders": self.cache.to_state(),
        }

    def from_state(self, state: Mapping[str, Any]) -> None:
        self.sessions = {w: Session(s["id"], frozenset(s["signers"])) for w, s in state["sessions"].items()}
        self.nonces = OrderedDict.fromkeys(state["nonces"])
        self.cache.from_state(state["orders"])


def refusal(reason: str) -> RefusedError:
    """Refusal for a known caller without permission; the reason may be empty."""
    return RefusedError(-3, f"check authority failed: {reason}")
