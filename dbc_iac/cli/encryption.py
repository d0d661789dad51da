"""The keys of a project's encryption, and the commands that make keys, and encrypt, decrypt or rotate the state."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dbc_iac.cli.app import App, writing
from dbc_iac.cli.options import json_option
from dbc_iac.diagnostics import Diagnostic, DiagnosticError, ExitCode, Severity
from dbc_iac.state import State, Store

if TYPE_CHECKING:
    from dbc_iac.cli.workspace import Workspace
    from dbc_iac.manifest.project import EncryptionSpec, OlderKey
    from dbc_iac.manifest.secret import SecretResolver
    from dbc_iac.plan import Plan
    from dbc_iac.state.backends.backend import Backend
    from dbc_iac.state.encryption import Keyring, Reader, Writes


def keyring_of(spec: EncryptionSpec, resolver: SecretResolver) -> Keyring:
    """Raises DiagnosticError where a secret is not at hand."""
    from dbc_iac.state.encryption import Keyring, Passphrase, Recipient, SecretKey

    def readers(part: EncryptionSpec | OlderKey) -> Iterator[Reader]:
        if part.passphrase is not None:
            yield Passphrase(resolver.resolve(part.passphrase))
        if part.key is not None:
            yield SecretKey(resolver.resolve(part.key))

    private = None if spec.private_key is None else Recipient(private=resolver.resolve(spec.private_key))
    recipients = [Recipient(public) for public in spec.recipients]
    older = [reader for part in spec.fallback for reader in readers(part)]
    older += [Recipient(private=resolver.resolve(p.private_key)) for p in spec.fallback if p.private_key is not None]
    return Keyring([*readers(spec), *recipients], [*([] if private is None else [private]), *older])


def sealed(backend: Backend, keys: Keyring | None, stack: str) -> Backend:
    """The backend, with encryption where there is a keyring."""
    if keys is None:
        return backend
    from dbc_iac.state.encryption import SealedBackend

    return SealedBackend(backend, keys, stack)


Keys = Callable[[], "Keyring | None"]
"""The keyring of the project, where it is needed: a file in the clear needs none."""


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
        number = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(number, "w", encoding="ascii") as stream:
            stream.write(key.reveal() + "\n")
    public = bytes(PrivateKey(bytes.fromhex(key.reveal())).public_key).hex()
    app.show(f"{public}\n", {"publicKey": public})


@click.command("encrypt")
@json_option
@click.pass_obj
def encrypt(app: App, as_json: bool) -> None:
    """Encrypt a state that is in the clear, with the keys of the project file."""
    from dbc_iac.state.encryption import Writes

    app.json = as_json
    _rewrite(app, Writes.ANEW)
    app.show(
        "The state is encrypted. Its older versions are not: remove them where that matters.\n", {"state": "encrypted"}
    )


@click.command("rotate-key")
@json_option
@click.pass_obj
def rotate_key(app: App, as_json: bool) -> None:
    """Encrypt the state with a new key, for the readers that the project file has now."""
    from dbc_iac.state.encryption import Writes

    app.json = as_json
    _rewrite(app, Writes.ANEW)
    app.show("The state has a new key. Its older versions have their old ones.\n", {"state": "rotated"})


@click.command("decrypt")
@json_option
@click.pass_obj
def decrypt(app: App, as_json: bool) -> None:
    """Put the state in the clear. Afterwards take `encryption` out of the project file."""
    from dbc_iac.state.encryption import Writes

    app.json = as_json
    _rewrite(app, Writes.CLEAR)
    app.show("The state is in the clear. Take `encryption` out of the project file now.\n", {"state": "clear"})


def _rewrite(app: App, writes: Writes) -> None:
    from dbc_iac.cli.workspace import Workspace
    from dbc_iac.state.encryption import SealedBackend

    workspace = Workspace.load(app)
    keys = workspace.keyring
    if keys is None:
        raise _problem("no-encryption", "the project file has no `encryption`", "Add it, with a key.")
    workspace.store = Store(SealedBackend(workspace.place, keys, app.stack, writes), app.stack)
    with workspace.locked("state"):
        _require_state(workspace)


def _require_state(workspace: Workspace) -> None:
    store, project = workspace.store, workspace.loaded
    state = store.look(project=project.name, uid=project.project.uid)
    if state is None:
        raise _problem("no-state", f"there is no state at {store.backend.place}", "The first apply makes one.")
    store.commit(state)


def _problem(code: str, summary: str, remedy: str) -> DiagnosticError:
    return DiagnosticError(Diagnostic(code, Severity.ERROR, summary, remedy=remedy, exit_code=ExitCode.CONFIGURATION))


COMMANDS = (new_key, encrypt, rotate_key, decrypt)
