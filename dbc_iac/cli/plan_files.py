"""Plan files: written, signed, read back, and the keys that sign them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dbc_iac.api.secret import SecretText
from dbc_iac.apply import Hook
from dbc_iac.cli.app import App, writing
from dbc_iac.cli.encryption import Keys, opened, opened_here, sealed_plan
from dbc_iac.cli.options import json_option
from dbc_iac.diagnostics import Diagnostic, DiagnosticError, Severity
from dbc_iac.files.reading import read_given
from dbc_iac.files.writing import write_new, write_whole
from dbc_iac.json import load_json
from dbc_iac.kinds.framework.spec import BeforeOffline
from dbc_iac.manifest.program_environment import program_environment
from dbc_iac.manifest.project import ProjectSpec
from dbc_iac.plan import Plan
from dbc_iac.plan.model import canonical_digest
from dbc_iac.plan.serialization import read_plan
from dbc_iac.plan.signature import new_key, public_key, sign, verified

if TYPE_CHECKING:
    from dbc_iac.state.encryption import Keyring

KEY_VARIABLE = "DBC_IAC_SIGNING_KEY"


def write_plan_file(made: Plan, file: Path, key: SecretText | None, keys: Keyring | None = None) -> None:
    """For its owner's eyes only; encrypted where there is a keyring, and then signed where there is a key.

    Raises DiagnosticError.
    """
    text = json.dumps(made.to_json(), indent=1).encode() + b"\n"
    if keys is not None:
        text = sealed_plan(text, made, keys)
    signed = text if key is None else sign(text, key)
    with writing():
        write_whole(file, signed, private=True)


def read_plan_file(file: Path, trusted: Sequence[str] = (), keys: Keys = lambda: None) -> Plan:
    """A plan from a file; what is signed is checked before it is read, or opened. Raises DiagnosticError."""
    return _parsed(opened(verified(_read(file, "plan-unreadable"), trusted), str(file), keys))


def plan_to_apply(file: Path, trusted: Sequence[str], keys: Keys) -> Plan:
    """The same, of a plan that is to be applied: where the project encrypts, it must have been written with its keys.

    What a trusted key has signed may be in the clear.
    """
    content = verified(_read(file, "plan-unreadable"), trusted)
    return _parsed((opened if trusted else opened_here)(content, str(file), keys))


def _parsed(plan: bytes) -> Plan:
    try:
        value = load_json(plan)
    except ValueError:
        value = None
    return read_plan(value)


def ways_of(project: ProjectSpec) -> dict[str, str]:
    """What of the project file decides to whom, and as whom, things are sent, as a plan has it: digests by name.

    Of references, never of secrets.
    """
    spec = project.model_dump(mode="json", by_alias=True)
    return {
        "clients": canonical_digest([spec["clients"], spec["imageClient"]]),
        "identities": canonical_digest(spec["identities"]),
    }


def hooks_of(plan: Plan, directory: Path, environ: Mapping[str, str]) -> dict[str, Hook]:
    """Those of a plan: what was reviewed is run, whatever the manifests say now."""
    said = {address: BeforeOffline.model_validate(hook) for address, hook in plan.hooks.items()}
    passed = program_environment({**os.environ, **environ})
    return {a: Hook(hook.command, hook.timeout, hook.force, directory, passed) for a, hook in said.items()}


def signing_key(file: Path | None, environ: Mapping[str, str]) -> SecretText | None:
    """The key of a file, else that of the environment; None where there is neither. Raises DiagnosticError."""
    if file is not None:
        return SecretText(_read(file, "signing-key").decode("utf-8", "replace").strip())
    text = environ.get(KEY_VARIABLE, "")
    return SecretText(text) if text else None


def _read(file: Path, code: str) -> bytes:
    try:
        return read_given(file)
    except OSError as error:
        raise DiagnosticError(Diagnostic(code, Severity.ERROR, f"{file} cannot be read ({error.strerror})")) from None


@click.group("signing-key")
def command() -> None:
    """Keys that sign plan files."""


@command.command("new")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@json_option
@click.pass_obj
def new(app: App, /, file: Path, as_json: bool) -> None:
    """Write a new private key to FILE, and show the public one for `trustedPlanKeys`."""
    app.json = as_json
    key = new_key()
    with writing():
        write_new(file, f"{key.reveal()}\n".encode())
    _tell(app, public_key(key))


@command.command("show")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@json_option
@click.pass_obj
def show(app: App, /, file: Path, as_json: bool) -> None:
    """Show the public key that belongs to the private key in FILE."""
    app.json = as_json
    key = signing_key(file, {})
    assert key is not None  # noqa: S101 - a file was given
    _tell(app, public_key(key))


def _tell(app: App, key: str) -> None:
    app.show(f"{key}\n", {"publicKey": key})
