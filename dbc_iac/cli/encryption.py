"""The keys of a project's encryption, and the commands that make keys, and encrypt, decrypt or rotate the state."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dbc_iac.cli.app import App, writing
from dbc_iac.cli.options import json_option
from dbc_iac.diagnostics import Diagnostic, DiagnosticError, ExitCode, Severity
from dbc_iac.files.writing import write_new
from dbc_iac.state import State, Store

if TYPE_CHECKING:
    from dbc_iac.api.secret import SecretText
    from dbc_iac.manifest.project import EncryptionSpec, OlderKey
    from dbc_iac.manifest.secrets import SecretRef, SecretResolver
    from dbc_iac.plan import Plan
    from dbc_iac.state.backends.backend import Backend
    from dbc_iac.state.encryption import KeyReader, Keyring, Writes


def keyring_of(spec: EncryptionSpec, resolver: SecretResolver) -> Keyring:
    """The keys that are at hand, and what is said of those that are not. Raises DiagnosticError for what is no key."""
    from dbc_iac.state.encryption import Keyring, Passphrase, Private, Recipient, SecretKey, public_of

    missing: list[Diagnostic] = []

    def at_hand(ref: SecretRef | None, told: list[Diagnostic]) -> SecretText | None:
        try:
            return None if ref is None else resolver.resolve(ref)
        except DiagnosticError as error:
            told += error.diagnostics
            return None

    def readers(part: EncryptionSpec | OlderKey, told: list[Diagnostic]) -> Iterator[KeyReader]:
        if (phrase := at_hand(part.passphrase, told)) is not None:
            yield Passphrase(phrase)
        if (key := at_hand(part.key, told)) is not None:
            yield SecretKey(key)

    private = at_hand(spec.private_key, missing)
    retired = [part.recipient for part in spec.fallback if part.recipient is not None]
    before = [key for part in spec.fallback if (key := at_hand(part.private_key, [])) is not None]
    writers = frozenset([*spec.recipients, *retired, *map(public_of, before)])
    mine = [Private(key, writers) for key in ([] if private is None else [private])]
    older = [reader for part in spec.fallback for reader in readers(part, [])]
    older += [Private(key, writers) for key in before]
    made = [*readers(spec, missing), *(Recipient(public, private) for public in spec.recipients)]
    return Keyring(made, [*mine, *older, *map(Recipient, retired)], missing)


def sealed(backend: Backend, keys: Keyring | None, stack: str) -> Backend:
    """The backend, with encryption where there is a keyring."""
    if keys is None:
        return backend
    from dbc_iac.state.encryption import EncryptedBackend

    return EncryptedBackend(backend, keys, stack)


Keys = Callable[[], "Keyring | None"]
"""The keyring of the project, where it is needed: a file in the clear needs none."""


def opened_here(content: bytes, place: str, keys: Keys) -> bytes:
    """What a file says that is to be acted on: sealed, where the project encrypts. Raises DiagnosticError."""
    from dbc_iac.state.encryption import sealed_header

    if sealed_header(content, place) is None and keys() is not None:
        raise DiagnosticError(
            Diagnostic(
                "file-in-the-clear",
                Severity.ERROR,
                f"{place} is in the clear, and the project encrypts what it writes",
                "Anybody could have written it.",
                "Give the file that was written with the project's keys.",
                exit_code=ExitCode.REFUSED,
            )
        )
    return opened(content, place, keys)


def opened(content: bytes, place: str, keys: Keys) -> bytes:
    """What a file says, sealed or not. Raises DiagnosticError where no key opens it."""
    from dbc_iac.state.encryption import encrypted_without_key, open_sealed, sealed_header

    header = sealed_header(content, place)
    if header is None:
        return content
    ring = keys()
    return encrypted_without_key(place) if ring is None else open_sealed(content, place, ring)[1]


def sealed_plan(text: bytes, made: Plan, keys: Keyring) -> bytes:
    """A plan file's content, under a key of its own."""
    return _sealed_anew(text, "plan", made, keys)


def sealed_copy(text: bytes, state: State, keys: Keyring) -> bytes:
    """The content of a copy of a state, under a key of its own."""
    return _sealed_anew(text, "copy", state, keys)


def _sealed_anew(text: bytes, of: str, about: Plan | State, keys: Keyring) -> bytes:
    from dbc_iac.state.encryption import Header, new_secret_key, seal

    key = bytes.fromhex(new_secret_key().reveal())
    return seal(text, Header(of, about.stack, about.lineage, about.serial, tuple(keys.wrap(key))), key)


@click.command("new-key")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@json_option
@click.pass_obj
def new_key(app: App, /, file: Path, as_json: bool) -> None:
    """Write a new key to FILE, for `encryption.key` or `privateKey`, and show its public key for `recipients`."""
    from nacl.public import PrivateKey

    from dbc_iac.state.encryption import new_secret_key

    app.json = as_json
    key = new_secret_key()
    with writing():
        write_new(file, f"{key.reveal()}\n".encode())
    public = bytes(PrivateKey(bytes.fromhex(key.reveal())).public_key).hex()
    app.show(f"{public}\n", {"publicKey": public})


@click.command("encrypt")
@json_option
@click.pass_obj
def encrypt(app: App, as_json: bool) -> None:
    """Encrypt a state that is in the clear, with the keys of the project file."""
    from dbc_iac.state.encryption import Writes

    app.json = as_json
    changed = _rewrite(app, Writes.FIRST)
    older = "is encrypted. Its older versions are not: remove them where that matters."
    app.show(f"The state {older if changed else 'is encrypted already.'}\n", {"state": "encrypted"})


@click.command("rotate-key")
@json_option
@click.pass_obj
def rotate_key(app: App, as_json: bool) -> None:
    """Encrypt the state with a new key, for the readers that the project file has now."""
    from dbc_iac.state.encryption import Writes

    app.json = as_json
    _rewrite(app, Writes.NEW_KEY)
    app.show("The state has a new key. Its older versions have their old ones.\n", {"state": "rotated"})


@click.command("decrypt")
@json_option
@click.pass_obj
def decrypt(app: App, as_json: bool) -> None:
    """Put the state in the clear: whoever can read its place then reads names, addresses and what is rented. Afterwards
    take `encryption` out of the project file."""
    from dbc_iac.state.encryption import Writes

    app.json = as_json
    changed = _rewrite(app, Writes.CLEAR)
    told = "Whoever can read its place reads names, addresses and what is rented. "
    said = f"now. {told}Take `encryption` out of the project file now." if changed else "already."
    app.show(f"The state is in the clear {said}\n", {"state": "clear"})


def _rewrite(app: App, writes: Writes) -> bool:
    """Write the state as it is to be. False where it was so already: then only a journal that was left goes."""
    from dbc_iac.cli.workspace import Workspace
    from dbc_iac.state.encryption import EncryptedBackend, Writes

    workspace = Workspace.load(app)
    keys = workspace.keyring
    if keys is None:
        raise _problem("no-encryption", "the project file has no `encryption`", "Add it, with a key.")
    backend = EncryptedBackend(workspace.place, keys, app.stack, writes)
    store = workspace.store = Store(backend, app.stack)
    with workspace.locked("state"):
        state = store.look(project=workspace.loaded.name, uid=workspace.loaded.project.uid)
        if state is None:
            raise _problem("no-state", f"there is no state at {store.backend.place}", "The first apply makes one.")
        if writes is not Writes.NEW_KEY and backend.is_sealed == (writes is Writes.FIRST):
            backend.clear_stale()
            return False
        store.commit(state)
    return True


def _problem(code: str, summary: str, remedy: str) -> DiagnosticError:
    return DiagnosticError(Diagnostic(code, Severity.ERROR, summary, remedy=remedy, exit_code=ExitCode.CONFIGURATION))


COMMANDS = (new_key, encrypt, rotate_key, decrypt)
