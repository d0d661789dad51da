"""Encryption of states, journals and plans: keys, sealed documents, and a backend that holds sealed ones only."""

from dbc_iac.state.encryption.backend import EncryptedBackend, Writes
from dbc_iac.state.encryption.document import Header, open_sealed, seal, sealed_header
from dbc_iac.state.encryption.keys import (
    KeyReader,
    Keyring,
    Passphrase,
    Private,
    Recipient,
    SecretKey,
    new_secret_key,
    public_of,
)

__all__ = [
    "EncryptedBackend",
    "Header",
    "KeyReader",
    "Keyring",
    "Passphrase",
    "Private",
    "Recipient",
    "SecretKey",
    "Writes",
    "new_secret_key",
    "open_sealed",
    "public_of",
    "seal",
    "sealed_header",
]
