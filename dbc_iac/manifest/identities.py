"""Identities of the project file: wallets, multisig accounts, sessions and node keys."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from dbc_iac.api.auth.keys import public_key_of
from dbc_iac.manifest.secrets import SecretRef
from dbc_iac.manifest.validators import Part, Whole, wrong

_COPY = "Copy the address from the wallet, or from `dbc-iac wallet address`."


def _address(value: str) -> str:
    """An SS58 address of network 42 with a valid checksum. Raises otherwise."""
    if not value.startswith("5"):
        raise wrong("expected an SS58 address of network 42, which starts with 5", _COPY)
    try:
        public_key_of(value)
    except ValueError:
        raise wrong("invalid SS58 address: wrong checksum", _COPY) from None
    return value


class KeystoreSpec(Part):
    """A polkadot-js keystore file."""

    file: str
    password: SecretRef


class WalletSpec(Part):
    """Key of a wallet: exactly one of seed, mnemonic and keystore."""

    seed: SecretRef | None = Field(default=None, description="64 hex digits, optionally with 0x")
    mnemonic: SecretRef | None = None
    path: str = Field(default="", description="derivation path of a mnemonic, such as //hard/soft")
    keystore: KeystoreSpec | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(v is not None for v in (self.seed, self.mnemonic, self.keystore)) != 1:
            raise wrong("expected exactly one of seed, mnemonic and keystore", "Keep one of them.")
        return self


class SignaturesSpec(Part):
    """File of signatures that members made elsewhere: a JSON list of {wallet, nonce, sign}."""

    file: str


class MultisigSpec(Part):
    """A multisig account."""

    wallets: tuple[Annotated[str, AfterValidator(_address)], ...] = Field(
        min_length=1, description="addresses of all members"
    )
    threshold: Annotated[int, Whole(1, 1000)]
    signers: tuple[WalletSpec, ...] = Field(default=(), description="members whose keys are available here")
    signs: SignaturesSpec | None = None

    @model_validator(mode="after")
    def _checked(self) -> Self:
        if self.threshold > len(self.wallets):
            raise wrong(
                f"is {self.threshold}, but there are {len(self.wallets)} wallets",
                "Lower the threshold.",
                at="threshold",
            )
        if self.signs is None and self.threshold > len(self.signers):
            raise wrong(
                f"is {self.threshold}, but there are {len(self.signers)} signers",
                "Add signers, or `signs` with collected signatures.",
                at="threshold",
            )
        return self


class SessionSpec(Part):
    """A session id and its signature, handed out by the renter of the machine."""

    id: SecretRef
    sign: SecretRef


class IdentitySpec(Part):
    """Credentials of requests: exactly one of wallet, multisig, sessions and nodeKey."""

    wallet: WalletSpec | None = None
    multisig: MultisigSpec | None = None
    sessions: dict[str, SessionSpec] | None = Field(default=None, description="sessions by Node name or node id")
    node_key: SecretRef | None = Field(default=None, description="private key of a bare-metal manager, 64 hex digits")
    address: Annotated[str, AfterValidator(_address)] | None = Field(
        default=None, description="SS58 address; required for multisig, and to own a Network"
    )

    @property
    def type(self) -> str:
        """Type: `wallet`, `multisig`, `sessions` or `nodeKey`."""
        parts = {
            "wallet": self.wallet, "multisig": self.multisig, "sessions": self.sessions, "nodeKey": self.node_key
        }  # fmt: skip
        return next(name for name, part in parts.items() if part is not None)

    @model_validator(mode="after")
    def _checked(self) -> Self:
        if sum(v is not None for v in (self.wallet, self.multisig, self.sessions, self.node_key)) != 1:
            raise wrong("expected exactly one of wallet, multisig, sessions and nodeKey", "Keep one of them.")
        if self.address is None and self.multisig is not None:
            raise wrong("address is required with multisig", "Add `address:`; the derived account is compared with it.")
        return self
