"""`wallet`: keys, addresses, signatures for others, sessions for guests. Replaces the vendor's sign_tool.

A signature covers only a nonce: whoever has one can make one call with it. A session never expires: it is as good as
the key for as long as the rental runs.
"""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path
from typing import Any

import click

from dbc_iac.api.base58 import nonce
from dbc_iac.api.credentials import NodeKeyCredentials, WalletCredentials
from dbc_iac.api.keys import KeyMaterialError, Sr25519Key
from dbc_iac.api.secret import SecretText
from dbc_iac.cli.app import App
from dbc_iac.cli.day2.answers import done, problem
from dbc_iac.cli.day2.scope import Scope
from dbc_iac.cli.options import json_option
from dbc_iac.kinds.reach import Reach
from dbc_iac.plan import Session


@click.group()
def wallet() -> None:
    """Keys, signatures and sessions."""


def _key_options(command: Any) -> Any:
    for option in (
        click.option("--identity", default="", help="Identity of the project; default: its only wallet."),
        click.option("--seed-env", default="", metavar="NAME", help="Variable with the seed: no project needed."),
        click.option("--seed-file", type=click.Path(path_type=Path, dir_okay=False), help="File with the seed."),
    ):
        command = option(command)
    return command


@wallet.command("new")
@click.option("--out", required=True, type=click.Path(path_type=Path, dir_okay=False), help="File for the seed (0600).")
@json_option
@click.pass_obj
def wallet_new(app: App, out: Path, as_json: bool) -> None:
    """Make a wallet. Its seed goes to a file that only you can read, and is shown nowhere."""
    app.json = as_json
    path = app.directory / out
    seed = secrets.token_hex(32)
    try:
        with open(path, "x", encoding="ascii", opener=_private) as file:
            file.write(f"{seed}\n")
    except FileExistsError:
        raise problem("exists", f"{out} exists already", "Name another file: a seed that is lost is lost.") from None
    except OSError as error:
        raise problem("not-written", f"{out} cannot be written ({error.strerror})", "Name another file.") from None
    key = Sr25519Key.from_seed(SecretText(seed))
    app.show(f"{key.address}\nseed in {out}", {"address": key.address, "publicKey": key.node_id, "file": str(out)})


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


@wallet.command("address")
@_key_options
@json_option
@click.pass_obj
def wallet_address(app: App, identity: str, seed_env: str, seed_file: Path | None, as_json: bool) -> None:
    """Address (SS58, prefix 42) and public key, which is also the node id of a manager's key."""
    app.json = as_json
    key = _key(app, identity, seed_env, seed_file)
    app.show(f"{key.address}\n{key.node_id}", {"address": key.address, "publicKey": key.node_id})


@wallet.command("sign")
@click.argument("text", required=False)
@click.option("--count", default=1, show_default=True, type=click.IntRange(1, 1000), help="So many fresh nonces.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write them to a file (0600).")
@_key_options
@json_option
@click.pass_obj
def wallet_sign(
    app: App,
    text: str | None,
    count: int,
    out: Path | None,
    identity: str,
    seed_env: str,
    seed_file: Path | None,
    as_json: bool,
) -> None:
    """Sign fresh nonces, or TEXT (a session id): a JSON list of {wallet, nonce, sign}.

    A member of a multisig makes such a list on a machine without network; it is the project's `signs: {file: ...}`.
    """
    app.json = as_json
    key = _key(app, identity, seed_env, seed_file)
    texts = [text] if text is not None else [nonce(app.runtime.uuid()) for _ in range(count)]
    made = [{"wallet": key.address, "nonce": t, "sign": key.sign(t)} for t in texts]
    if out is None:
        app.runtime.say(json.dumps(made, indent=2))
        return
    path = app.directory / out
    try:
        with open(path, "x", encoding="ascii", opener=_private) as file:
            json.dump(made, file, indent=2)
    except OSError as error:
        raise problem("not-written", f"{out} cannot be written ({error.strerror})", "Name another file.") from None
    app.show(f"{len(made)} signatures of {key.address} in {out}", {"file": str(out), "count": len(made)})


@wallet.command("session")
@click.argument("name", metavar="NODE")
@click.option("--print", "shown", is_flag=True, help="Print the session, to give it to a guest.")
@json_option
@click.pass_obj
def wallet_session(app: App, name: str, shown: bool, as_json: bool) -> None:
    """Obtain our session at a node. Whoever has it can do all that the renter can, until the rental ends."""
    app.json = as_json
    scope = Scope(app)
    reach = _target(scope, name)

    async def ask(session: Session) -> Any:
        return done(await session.connect(reach).session(), reach.name)

    pair = scope.work(ask)
    if not shown:
        app.show(f"There is a session at {reach.name}. --print shows it.", {"node": reach.target, "obtained": True})
        return
    value = {"session_id": pair.id.reveal(), "session_id_sign": pair.sign.reveal()}
    app.show("\n".join(f"{k}: {v}" for k, v in value.items()), value)


def _target(scope: Scope, name: str) -> Reach:
    resource = scope.workspace.inventory.find("BareMetalInstance", name.removeprefix("BareMetalInstance/"))
    return scope.instance(name) if resource is not None else scope.node(name)


def _key(app: App, identity: str, seed_env: str, seed_file: Path | None) -> Sr25519Key:
    """A key from a variable, a file, or the project. Raises DiagnosticError."""
    if seed_env or seed_file is not None:
        text = app.runtime.environ.get(seed_env, "") if seed_env else _read(app, seed_file)
        try:
            return Sr25519Key.from_seed(SecretText(text.strip()))
        except KeyMaterialError as error:
            raise problem("key-invalid", str(error), "A seed is 64 hex digits.") from None
    return _project_key(Scope(app), identity)


def _read(app: App, path: Path | None) -> str:
    assert path is not None  # noqa: S101 - one of both is given
    try:
        return (app.directory / path).read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        raise problem("key-invalid", f"{path} cannot be read as a seed", "A seed is 64 hex digits.") from None


def _project_key(scope: Scope, identity: str) -> Sr25519Key:
    project = scope.workspace.loaded.project
    names = [n for n, spec in project.identities.items() if spec.wallet is not None or spec.node_key is not None]
    if not identity and len(names) != 1:
        raise problem(
            "which-identity", "the project has not exactly one wallet", f"Use --identity: {', '.join(names)}."
        )
    chosen = identity or names[0]
    credentials = scope.workspace.identities.credentials(chosen, Reach(chosen, "", chosen))
    if not isinstance(credentials, WalletCredentials | NodeKeyCredentials):
        raise problem("no-key", f"identity {chosen} has no key of its own", "Use one with a wallet or a nodeKey.")
    return credentials.key
