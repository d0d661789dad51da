"""Who may act on a machine: evaluated by the target on every request, from the chain, nonces and sessions."""

from __future__ import annotations

import random
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Literal

from dbc_iac.sim.chain import RENTED, RENTING, UNRENTED, VERIFYING, Chain, Order
from dbc_iac.sim.crypto import multisig_account, session_id, verifies
from dbc_iac.sim.reply import RefusedError

MOST_NONCES = 1_000_000


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever passed: their wallet, how, and the order they come under."""

    wallet: str
    role: Literal["wallet", "session"]
    order: Order


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a request carries. `multisig`: (wallets, threshold, signs)."""

    session: tuple[str, str] = ("", "")
    wallet: tuple[str, str, str] = ("", "", "")
    multisig: tuple[list[str], int, list[tuple[str, str, str]]] | None = None
    rent_order: str = ""


@dataclass(slots=True)
class Session:
    id: str
    signers: frozenset[str]


@dataclass(slots=True)
class Authority:
    """One target process's memory of nonces, sessions and orders. Sessions outlive a restart, nonces do not."""

    chain: Chain
    random: random.Random
    sessions: dict[str, Session] = field(default_factory=dict)
    orders: dict[str, Order] = field(default_factory=dict)
    nonces: OrderedDict[str, None] = field(default_factory=OrderedDict)
    planned: dict[str, str] = field(default_factory=dict)
    """Session ids that the world file chose, by account."""

    def authorise(self, machine: str, credentials: Credentials) -> Caller:
        """The caller. Raises RefusedError with the node's own words."""
        status = self.chain.status(machine)
        self._refresh(machine, credentials.rent_order)
        if status in UNRENTED:
            raise _refusal("machine is not be rented")
        if status in VERIFYING:
            if self._signer(credentials) is None:
                raise _refusal("nonce check failed")
            raise _refusal("not in verify time")
        if status not in RENTED:
            raise _refusal("query machine_status failed")
        return self._renter(credentials)

    def _refresh(self, machine: str, rent_order: str) -> None:
        order = self.chain.order(machine, rent_order) if self.chain.reachable else None
        if order is not None:
            self.orders[order.key] = order

    def _renter(self, credentials: Credentials) -> Caller:
        by_session = self._session(credentials.session)
        if by_session is not None:
            order = self._renting(by_session, credentials.rent_order)
            if order is None:
                raise _refusal("machine has already expired")
            return Caller(by_session, "session", order)
        signer = self._signer(credentials)
        if signer is None:
            raise _refusal("session_id is invalid" if all(credentials.session) else "nonce check failed")
        account, members = signer
        order = self._renting(account, credentials.rent_order)
        if order is None:
            raise _refusal("wallet not rented")
        if account not in self.sessions:
            self.sessions[account] = Session(self.planned.get(account) or session_id(self.random), members)
        return Caller(account, "wallet", order)

    def _renting(self, wallet: str, rent_order: str) -> Order | None:
        order = self.orders.get(rent_order or wallet)
        good = order is not None and order.renter == wallet and order.status in RENTING
        return order if good else None

    def _session(self, pair: tuple[str, str]) -> str | None:
        session, sign = pair
        if not session or not sign:
            return None
        for wallet, known in self.sessions.items():
            if known.id == session and any(verifies(s, session, sign) for s in known.signers):
                return wallet
        return None

    def _signer(self, credentials: Credentials) -> tuple[str, frozenset[str]] | None:
        """The account that signed a fresh nonce, and whose signatures its session takes."""
        if credentials.multisig is not None and credentials.multisig[2]:
            wallets, threshold, signs = credentials.multisig
            if all(w in wallets and self.fresh(w, n, s) for w, n, s in signs):
                account = multisig_account(wallets, threshold)
                if account is not None:
                    return account, frozenset(w for w, _, _ in signs)
        wallet, nonce, sign = credentials.wallet
        if wallet and nonce and sign and self.fresh(wallet, nonce, sign):
            return wallet, frozenset({wallet})
        return None

    def fresh(self, wallet: str, nonce: str, sign: str) -> bool:
        """Whether a signature over a nonce is good and the nonce new; it is used up then."""
        if nonce in self.nonces or not verifies(wallet, nonce, sign):
            return False
        self.nonces[nonce] = None
        if len(self.nonces) > MOST_NONCES:
            self.nonces.popitem(last=False)
        return True


def _refusal(reason: str) -> RefusedError:
    return RefusedError(-3, f"check authority failed: {reason}")
