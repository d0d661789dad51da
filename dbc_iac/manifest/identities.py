"""Identities of the project file: wallets, multisig accounts, sessions, node keys."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from dbc_iac.api.auth.keys import public_key_of
from dbc_iac.manifest.secrets import SecretRef
from dbc_iac.manifest.validators import Part, Whole, wrong

_COPY = "Copy it whole from the wallet, or from `dbc-iac wallet address`."


def _address(value: str) -> str:
    """An SS58 address of prefix 42, checksum and all."""
    if not value.startswith("5"):
        raise wrong("expected an SS58 address of network 42: it begins with 5", _COPY)
    try:
        public_key_of(value)
    except ValueError:
        raise wrong("this is not an SS58 address: its checksum does not fit", _COPY) from None
    return value


class KeystoreSpec(Part):
    """A polkadot-js keystore file."""

    file: str
    password: SecretRef


class WalletSpec(Part):
    """A wallet's key: exactly one of seed, mnemonic and keystore."""

    seed: SecretRef | None = Field(default=None, description="64 hex digits, 0x allowed")
    mnemonic: SecretRef | None = None
    path: str = Field(default="", description="derivation path of a mnemonic, such as //hard/soft")
    keystore: KeystoreSpec | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(v is not None for v in (self.seed, self.mnemonic, self.keystore)) != 1:
            raise wrong("expected exactly one of seed, mnemonic and keystore", "Leave one of them.")
        return self


class SignaturesSpec(Part):
    """Signatures of members that were collected elsewhere: a JSON list of {wallet, nonce, sign}."""

    file: str


class MultisigSpec(Part):
    """A multisig account."""

    wallets: tuple[Annotated[str, AfterValidator(_address)], ...] = Field(
        min_length=1, description="addresses of all members"
    )
    threshold: Annotated[int, Whole(1, 1000)]
    signers: tuple[WalletSpec, ...] = Field(default=(), description="members whose keys are at hand")
    signs: SignaturesSpec | None = None

    @model_validator(mode="after")
    def _checked(self) -> Self:
        if self.threshold > len(self.wallets):
            raise wrong("more than there are wallets", "Write how many must sign.", at="threshold")
        if self.signs is None and self.threshold > len(self.signers):
            raise wrong(
                "more than there are signers", "Add signers, or `signs` with what others signed.", at="threshold"
            )
        return self


class SessionSpec(Part):
    """A session id and its signature, given by whoever rents the machine."""

    id: SecretRef
    sign: SecretRef


class IdentitySpec(Part):
    """Who asks: exactly one of wallet, multisig, sessions and nodeKey."""

    wallet: WalletSpec | None = None
    multisig: MultisigSpec | None = None
    sessions: dict[str, SessionSpec] | None = Field(default=None, description="by Node name or node id")
    node_key: SecretRef | None = Field(default=None, description="private key of a bare-metal manager, 64 hex digits")
    address: Annotated[str, AfterValidator(_address)] | None = Field(
        default=None, description="SS58 address; required for multisig, and to own a Network"
    )

    @property
    def made_of(self) -> str:
        """`wallet`, `multisig`, `sessions` or `nodeKey`."""
        parts = {
            "wallet": self.wallet, "multisig": self.multisig, "sessions": self.sessions, "nodeKey": self.node_key
        }  # fmt: skip
        return next(name for name, part in parts.items() if part is not None)

    @model_validator(mode="after")
    def _checked(self) -> Self:
        if sum(v is not None for v in (self.wallet, self.multisig, self.sessions, self.node_key)) != 1:
            raise wrong("expected exactly one of wallet, multisig, sessions and nodeKey", "Leave one of them.")
        if self.address is None and self.multisig is not None:
            raise wrong(
                "address is required with multisig", "Add `address:`: the account that is derived is held to it."
            )
        return self
