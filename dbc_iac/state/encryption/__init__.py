"""Encryption of what is kept: keys, sealed documents, and a place that holds sealed ones only."""

from dbc_iac.state.encryption.document import Header, encrypted_without_key, open_sealed, seal, sealed_header
from dbc_iac.state.encryption.keys import (
    Keyring,
    Passphrase,
    Private,
    Reader,
    Recipient,
    SecretKey,
    new_secret_key,
    public_of,
)
from dbc_iac.state.encryption.place import SealedBackend, Writes

__all__ = [
    "Header",
    "Keyring",
    "Passphrase",
    "Private",
    "Reader",
    "Recipient",
    "SealedBackend",
    "SecretKey",
    "Writes",
    "encrypted_without_key",
    "new_secret_key",
    "open_sealed",
    "public_of",
    "seal",
    "sealed_header",
]
