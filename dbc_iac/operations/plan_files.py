"""Plan files: written, encrypted, signed, and read back; and copies of a state, which `show` reads too."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dbc_iac.diagnostics import failure
from dbc_iac.files.outputs import writing
from dbc_iac.files.reading import read_given
from dbc_iac.files.writing import write_new, write_whole
from dbc_iac.json import load_json, object_pieces
from dbc_iac.operations.encryption import Keys, opened, opened_here, sealed_plan
from dbc_iac.plan import Plan
from dbc_iac.plan.serialization import read_plan
from dbc_iac.plan.signature import new_key, public_key, sign, verified
from dbc_iac.secret import SecretText
from dbc_iac.state import State
from dbc_iac.state.backup import read_backup

if TYPE_CHECKING:
    from dbc_iac.state.encryption import Keyring

KEY_VARIABLE = "DBC_IAC_SIGNING_KEY"


def write_plan_file(made: Plan, file: Path, key: SecretText | None, keys: Keyring | None) -> None:
    """Write a plan, readable by its owner only; encrypted with the keyring, then signed with the key, where given.

    Raises DiagnosticError.
    """
    pieces: Iterable[bytes] = _pieces(made)
    if keys is not None:
        pieces = [sealed_plan(b"".join(pieces), made, keys)]
    if key is not None:
        pieces = [sign(b"".join(pieces), key)]
    with writing():
        write_whole(file, pieces, private=True)


def _pieces(made: Plan) -> Iterator[bytes]:
    lines = object_pieces(dict(made.members()), partial(json.dumps, indent=1), " ")
    return (f"{line}\n".encode() for line in lines)


def read_plan_file(file: Path, keys: Keys) -> Plan:
    """The plan of a file, for reading. A signature by any key is verified first. Raises DiagnosticError."""
    return _parsed(opened(verified(_read(file, "plan-unreadable"), ()), str(file), keys), file)


def plan_to_apply(file: Path, trusted: Sequence[str], keys: Keys) -> Plan:
    """The plan of a file, for applying. Where the project encrypts, the file must be encrypted, or signed by a trusted
    key. Raises DiagnosticError."""
    content = verified(_read(file, "plan-unreadable"), trusted)
    return _parsed((opened if trusted else opened_here)(content, str(file), keys), file)


def _parsed(plan: bytes, file: Path) -> Plan:
    try:
        value = load_json(plan)
    except ValueError:
        value = None
    return read_plan(value, str(file))


def signing_key(file: Path | None, environ: Mapping[str, str]) -> SecretText | None:
    """The private key in a file, else in DBC_IAC_SIGNING_KEY; None where neither is set. Raises DiagnosticError."""
    if file is not None:
        return SecretText(_read(file, "signing-key").decode("utf-8", "replace").strip())
    text = environ.get(KEY_VARIABLE, "")
    return SecretText(text) if text else None


def _read(file: Path, code: str) -> bytes:
    try:
        return read_given(file)
    except OSError as error:
        summary, remedy = f"cannot read {file} ({error.strerror})", "Correct the path or the permissions of the file."
        raise failure(code, summary, remedy=remedy) from None


def new_signing_key(file: Path) -> str:
    """Write a new private key to a new file; returns its public key. Raises DiagnosticError."""
    key = new_key()
    with writing():
        write_new(file, f"{key.reveal()}\n".encode())
    return public_key(key)


def public_signing_key(file: Path) -> str:
    """The public key of the private key in a file. Raises DiagnosticError."""
    key = signing_key(file, {})
    assert key is not None  # noqa: S101 - a file was given
    return public_key(key)


def read_plan_or_state(file: Path, keys: Keys) -> Plan | State:
    """The content of a plan file or of a copy of a state. Raises DiagnosticError."""
    state = _state(file, keys)
    return read_plan_file(file, keys) if state is None else state


def _state(file: Path, keys: Keys) -> State | None:
    """The state in a file; None if the file can only be a plan."""
    try:
        content = opened(read_given(file), str(file), keys)
    except OSError:
        return None  # reading it as a plan reports why
    value = _json(content)
    if isinstance(value, dict) and {"bindings", "state"} & set(value):
        return read_backup(content, str(file)).folded
    if isinstance(value, dict) and "changes" in value:
        return None
    if value is None and isinstance(_json(content.partition(b"\n")[0]), dict):
        return None  # signed
    summary = f"{file} is neither a plan nor a state"
    remedy = "Give a complete file of `plan -o`, of `state pull -o`, or of an apply."
    raise failure("not-a-plan-or-state", summary, remedy=remedy)


def _json(content: bytes) -> Any:
    try:
        return load_json(content)
    except ValueError:
        return None
