"""Keys for the `wallet` commands: new, from options, or of an identity; and signatures from files.

Keys are only written to private files.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from dbc_iac.api.auth.credentials import CollectedSignature, MultisigCredentials, NodeKeyCredentials, WalletCredentials
from dbc_iac.api.auth.keys import KeyMaterialError, Sr25519Key
from dbc_iac.cli.app import App
from dbc_iac.cli.ops.lookup import unknown
from dbc_iac.cli.ops.outcomes import failed
from dbc_iac.cli.ops.passwords import secret_from_options
from dbc_iac.diagnostics import DiagnosticError, ExitCode
from dbc_iac.files.writing import write_new
from dbc_iac.kinds.framework.route import Route
from dbc_iac.operations.identities import collected_signatures
from dbc_iac.operations.project import Project
from dbc_iac.secret import SecretText

F = TypeVar("F", bound=Callable[..., Any])


def key_options(command: F) -> F:
    """Add --seed-env and --seed-file to a command."""
    command = click.option(
        "--seed-file", default="", metavar="FILE", help="File with a seed or phrase; no project is needed."
    )(command)
    return click.option(
        "--seed-env",
        default="",
        metavar="NAME",
        help="Environment variable with a seed or phrase; no project is needed.",
    )(command)


def new_key(words: int) -> tuple[SecretText, Sr25519Key]:
    """Make a key from a new phrase of that many words; 0: from a new seed. Raises DiagnosticError without the extra."""
    try:
        if not words:
            seed = SecretText(secrets.token_hex(32))
            return seed, Sr25519Key.from_seed(seed)
        phrase = Sr25519Key.new_mnemonic(words)
        return phrase, Sr25519Key.from_mnemonic(phrase)
    except KeyMaterialError as error:
        raise _key_error(str(error)) from None


def key_from_options(app: App, variable: str, file: str) -> Sr25519Key | None:
    """Key from the seed or phrase that the options name; None without options. Raises DiagnosticError."""
    if variable and file:
        raise click.UsageError("--seed-env and --seed-file exclude each other")
    if not variable and not file:
        return None
    secret = secret_from_options(app, variable, file)
    try:
        if len(secret.reveal().split()) > 1:
            return Sr25519Key.from_mnemonic(secret)
        return Sr25519Key.from_seed(secret)
    except KeyMaterialError as error:
        raise _key_error(str(error)) from None


def identity_keys(project: Project, identity: str) -> tuple[Sr25519Key, ...]:
    """Configured keys of an identity (default: the only one). Raises DiagnosticError."""
    known = project.loaded.project.identities
    if not identity and len(known) == 1:
        identity = next(iter(known))
    if identity not in known:
        raise unknown("identity", identity, known, f"Use one of: {', '.join(known)}.")
    if known[identity].sessions is not None:
        raise _key_error(f"identity {identity} uses sessions and has no key")
    match project.identities.credentials(identity, Route(identity, "", identity, ())):
        case WalletCredentials(key) | NodeKeyCredentials(key):
            return (key,)
        case MultisigCredentials() as owner:
            return owner.signers
        case _:
            return ()


def read_signatures(file: Path) -> list[CollectedSignature]:
    """Read the signatures of other signers from a file, and verify each. Raises DiagnosticError."""
    try:
        return collected_signatures(file)
    except ValueError as error:
        raise _key_error(str(error)) from None


def refuse_existing(path: Path) -> None:
    """Check that `write_private` can create a file, before a call whose answer goes there. Raises DiagnosticError."""
    if os.path.lexists(path):
        raise _file_exists(path)


def _file_exists(path: Path) -> DiagnosticError:
    return failed("file-exists", f"{path} exists", remedy="Use another file name.")


def write_private(path: Path, text: str) -> None:
    """Write a new file that only its owner can read. Raises DiagnosticError for an existing file."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_new(path, text.encode())
    except FileExistsError:
        raise _file_exists(path) from None
    except OSError as error:
        remedy = "Choose another path, or change its permissions."
        raise failed("file-unwritable", f"cannot write {path} ({error.strerror})", remedy=remedy) from None


_CONFIGURATION = ExitCode.CONFIGURATION


def _key_error(summary: str) -> DiagnosticError:
    return failed(
        "key-material", summary, remedy="Correct the file or variable that the command names.", exit_code=_CONFIGURATION
    )
