"""Credentials: the envelope fields of each form of identity. No I/O.

    WalletCredentials    a wallet's key: signs a fresh nonce to obtain a session, and the session
    MultisigCredentials  several wallets: by their keys, or by signatures that were collected elsewhere
    SessionCredentials   a session id and its signature, given by the renter of the machine; reusable
    NodeKeyCredentials   the key of a bare-metal manager: signs a fresh nonce for every call

A nonce is used up by the node when its signature verifies, even if the call then fails: so one is made per attempt.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct

from dbc_iac.api.auth.keys import Nonce, SessionId, Sr25519Key, multisig_address, public_key_of, verify
from dbc_iac.json import Json
from dbc_iac.secret import SecretText

NonceSource = Callable[[], Nonce]
"""Gives a fresh nonce each time."""


class NoSignatureLeft(Exception):  # noqa: N818 - it is what happened, not a fault
    """The collected signatures of a multisig are used up."""


class SessionCredentials(Struct, frozen=True):
    """Never expires on its own; valid as long as the rental is. One pair serves one target process."""

    id: SecretText
    sign: SecretText

    def envelope(self) -> dict[str, Json]:
        return {"session_id": self.id.reveal(), "session_id_sign": self.sign.reveal()}


class WalletCredentials(Struct, frozen=True):
    key: Sr25519Key

    @property
    def account(self) -> str:
        """The renter that the chain knows."""
        return self.key.address

    def signed(self, nonces: NonceSource) -> dict[str, Json]:
        return _signed(self.key, self.key.address, nonces())

    def session(self, session_id: SessionId) -> SessionCredentials:
        return SessionCredentials(session_id.secret, SecretText(self.key.sign(session_id)))

    def accepts(self, session: SessionCredentials) -> bool:
        """Whether the session's signature is this wallet's."""
        return verify(self.key.public_key, session.id.reveal(), session.sign.reveal())


class NodeKeyCredentials(Struct, frozen=True):
    """The owner of a manager is known by the node id, in hexadecimal, never by an address."""

    key: Sr25519Key

    def signed(self, nonces: NonceSource) -> dict[str, Json]:
        return _signed(self.key, self.key.node_id, nonces())


class CollectedSignature(Struct, frozen=True):
    """One member's signature over a nonce, made elsewhere. Good for one call to one target."""

    wallet: str
    nonce: str
    sign: str

    def envelope(self) -> dict[str, Json]:
        return {"wallet": self.wallet, "nonce": self.nonce, "sign": self.sign}


class MultisigCredentials:
    """A multisig account. Members with a configured key sign each attempt; collected signatures are used up."""

    def __init__(
        self,
        wallets: Sequence[str],
        threshold: int,
        signers: Sequence[Sr25519Key] = (),
        signatures: Sequence[CollectedSignature] = (),
    ) -> None:
        """Raises ValueError: too few signers for the threshold, or a signer who is no member."""
        self.wallets = tuple(wallets)
        self.threshold = threshold
        self.account = multisig_address(wallets, threshold)
        self._signers = {key.address: key for key in signers}
        self._unused = [s for s in signatures if s.wallet not in self._signers]
        self._collects = bool(self._unused)
        members = self._signers.keys() | {s.wallet for s in self._unused}
        if not members <= set(self.wallets):
            raise ValueError("a signer is not among the wallets of the multisig")
        # The node counts one member who signs twice as two; the chain would not.
        if len(members) < threshold:
            raise ValueError(f"the multisig needs {threshold} different signers")
        if any(not verify(public_key_of(s.wallet), s.nonce, s.sign) for s in self._unused):
            raise ValueError("a collected signature does not verify")

    @property
    def signs_sessions(self) -> bool:
        """Whether a member's key is configured: one member's signature makes a session usable."""
        return bool(self._signers)

    @property
    def collects(self) -> bool:
        """Whether signatures made elsewhere are used."""
        return self._collects

    @property
    def signers(self) -> tuple[Sr25519Key, ...]:
        """Configured keys of members."""
        return tuple(self._signers.values())

    def signed(self, nonces: NonceSource) -> dict[str, Json]:
        """Raises NoSignatureLeft."""
        available = list(self._signers.items())[: self.threshold]
        signs: list[Json] = [*(_signed(key, wallet, nonces()) for wallet, key in available)]
        for wallet in self.wallets:
            if len(signs) < self.threshold and wallet not in self._signers:
                signs.extend(s.envelope() for s in self._taken(wallet))
        if len(signs) < self.threshold:
            raise NoSignatureLeft("the collected signatures of the multisig are used up")
        # The threshold is text on the wire; a number makes the node refuse the whole block.
        account: dict[str, Json] = {"wallets": list(self.wallets), "threshold": str(self.threshold), "signs": signs}
        return {"multisig_accounts": account}

    def session(self, session_id: SessionId) -> SessionCredentials:
        key = next(iter(self._signers.values()))
        return SessionCredentials(session_id.secret, SecretText(key.sign(session_id)))

    def accepts(self, session: SessionCredentials) -> bool:
        """Whether the session's signature is a member's."""
        text, sign = session.id.reveal(), session.sign.reveal()
        return any(verify(public_key_of(wallet), text, sign) for wallet in self.wallets)

    def _taken(self, wallet: str) -> list[CollectedSignature]:
        """The next unused signature of a member, which is used up by this."""
        found = next((s for s in self._unused if s.wallet == wallet), None)
        if found is None:
            return []
        self._unused.remove(found)
        return [found]

    def __repr__(self) -> str:
        return f"MultisigCredentials({self.account})"


Credentials = WalletCredentials | MultisigCredentials | SessionCredentials | NodeKeyCredentials
SessionOwner = WalletCredentials | MultisigCredentials
"""Credentials that can obtain a session."""


def _signed(key: Sr25519Key, wallet: str, nonce: Nonce) -> dict[str, Json]:
    return {"wallet": wallet, "nonce": nonce.text, "sign": key.sign(nonce)}
