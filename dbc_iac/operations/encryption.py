"""Encryption of states and plan files with the keys of the project file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from dbc_iac.diagnostics import Diagnostic, DiagnosticError, ExitCode, failure
from dbc_iac.files.outputs import writing
from dbc_iac.files.writing import write_new
from dbc_iac.state import State
from dbc_iac.state.sealed import encrypted_without_key, is_sealed

if TYPE_CHECKING:
    from dbc_iac.manifest.project import EncryptionSpec, OlderKey
    from dbc_iac.manifest.secrets import SecretRef, SecretResolver
    from dbc_iac.plan import Plan
    from dbc_iac.secret import SecretText
    from dbc_iac.state.backends.backend import Backend
    from dbc_iac.state.encryption import KeyReader, Keyring


def keyring_of(spec: EncryptionSpec, resolver: SecretResolver) -> Keyring:
    """The available keys, with the diagnostics of the others. Raises DiagnosticError for an invalid key."""
    from dbc_iac.state.encryption import Keyring, Passphrase, Private, Recipient, SecretKey, public_of

    missing: list[Diagnostic] = []

    def available(ref: SecretRef | None, problems: list[Diagnostic]) -> SecretText | None:
        try:
            return None if ref is None else resolver.resolve(ref)
        except DiagnosticError as error:
            problems += error.diagnostics
            return None

    def readers(part: EncryptionSpec | OlderKey, problems: list[Diagnostic]) -> Iterator[KeyReader]:
        if (phrase := available(part.passphrase, problems)) is not None:
            yield Passphrase(phrase)
        if (key := available(part.key, problems)) is not None:
            yield SecretKey(key)

    private = available(spec.private_key, missing)
    retired = [part.recipient for part in spec.fallback if part.recipient is not None]
    before = [key for part in spec.fallback if (key := available(part.private_key, [])) is not None]
    writers = frozenset([*spec.recipients, *retired, *map(public_of, before)])
    mine = [Private(key, writers) for key in ([] if private is None else [private])]
    older = [reader for part in spec.fallback for reader in readers(part, [])]
    older += [Private(key, writers) for key in before]
    made = [*readers(spec, missing), *(Recipient(public, private) for public in spec.recipients)]
    return Keyring(made, [*mine, *older, *map(Recipient, retired)], missing)


def sealed(backend: Backend, keys: Keyring, stack: str) -> Backend:
    """The backend with encryption."""
    from dbc_iac.state.encryption import EncryptedBackend

    return EncryptedBackend(backend, keys, stack)


Keys = Callable[[], "Keyring | None"]
"""Gives the keyring of the project, when it is needed: an unencrypted file needs none."""


def opened_here(content: bytes, place: str, keys: Keys) -> bytes:
    """The content of a file to act on, which is encrypted if the project encrypts. Raises DiagnosticError."""
    if not is_sealed(content) and keys() is not None:
        raise failure(
            "file-in-the-clear",
            f"{place} is not encrypted",
            "The project encrypts its files. Anybody could have written this one.",
            "Give a file that was written with the keys of the project.",
            exit_code=ExitCode.REFUSED,
        )
    return opened(content, place, keys)


def opened(content: bytes, place: str, keys: Keys) -> bytes:
    """The content of a file, decrypted where it is encrypted. Raises DiagnosticError if no key decrypts it."""
    if not is_sealed(content):
        return content
    ring = keys()
    if ring is None:
        encrypted_without_key(place)
    from dbc_iac.state.encryption import open_sealed

    return open_sealed(content, place, ring)[1]


def sealed_plan(text: bytes, made: Plan, keys: Keyring) -> bytes:
    """The content of a plan file, encrypted with a key of its own."""
    return _sealed(text, "plan", made, keys)


def sealed_copy(text: bytes, state: State, keys: Keyring) -> bytes:
    """The content of a copy of a state, encrypted with a key of its own."""
    return _sealed(text, "copy", state, keys)


def _sealed(text: bytes, of: str, about: Plan | State, keys: Keyring) -> bytes:
    from dbc_iac.state.encryption import Header, new_secret_key, seal

    key = bytes.fromhex(new_secret_key().reveal())
    return seal(text, Header(of, about.stack, about.lineage, about.serial, tuple(keys.wrap(key))), key)


def new_encryption_key(file: Path) -> str:
    """Write a new secret key to a new file; returns its public key. Raises DiagnosticError."""
    from nacl.public import PrivateKey

    from dbc_iac.state.encryption import new_secret_key

    key = new_secret_key()
    with writing():
        write_new(file, f"{key.reveal()}\n".encode())
    return bytes(PrivateKey(bytes.fromhex(key.reveal())).public_key).hex()
