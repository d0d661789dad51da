"""`wallet`: keys, addresses, signatures and sessions, like the sign tool of the vendor, without showing a key.

`new`, and `address` and `sign` with --seed-env or --seed-file, need no project and no network: for members of a
multisig who sign on a machine of their own.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import click

from dbc_iac.api.auth.credentials import MultisigCredentials, NodeKeyCredentials, WalletCredentials
from dbc_iac.api.auth.keys import Nonce, SessionId, Signable, Sr25519Key, multisig_address
from dbc_iac.api.endpoints import nodes
from dbc_iac.cli.app import App
from dbc_iac.cli.completions import identities, names
from dbc_iac.cli.ops import lookup
from dbc_iac.cli.ops.console import Console, run
from dbc_iac.cli.ops.lookup import TargetOptions, identity_options
from dbc_iac.cli.ops.outcomes import failed, read
from dbc_iac.cli.ops.rented_server import instance
from dbc_iac.cli.ops.wallet_keys import (
    identity_keys,
    key_from_options,
    key_options,
    new_key,
    read_signatures,
    refuse_existing,
    write_private,
)
from dbc_iac.cli.options import WholeNumber, json_option
from dbc_iac.diagnostics import Diagnostic, DiagnosticError, ExitCode, Severity
from dbc_iac.json import Json
from dbc_iac.kinds.framework.route import Route
from dbc_iac.operations.project import Project
from dbc_iac.secret import SecretText
from dbc_iac.views.text.tables import table


@click.group()
def command() -> None:
    """Wallets: new, address, sign, session."""


@command.command("new")
@click.option("--out", required=True, type=click.Path(path_type=Path, dir_okay=False), help="File for the key.")
@click.option("--mnemonic", is_flag=True, help="Write a mnemonic phrase instead of a seed of 64 hexadecimal digits.")
@click.option("--words", type=click.Choice(["12", "24"]), help="Length of the phrase; default: 12.")
@json_option
@click.pass_obj
def new(app: App, /, out: Path, mnemonic: bool, words: Literal["12", "24"] | None) -> None:
    """Create a wallet. Its key is written to a new file, readable by you only, and never shown. Back it up."""
    if words and not mnemonic:
        raise click.UsageError("--words needs --mnemonic")
    secret, key = new_key(int(words or 12) if mnemonic else 0)
    write_private(app.directory / out, secret.reveal() + "\n")
    form = "mnemonic" if mnemonic else "seed"
    text = (
        f"{key.address}\nwrote {out}\n"
        f"Keep it out of git. In the project file:\n  NAME: {{wallet: {{{form}: {{file: {out}}}}}}}"
    )
    app.show(text, {"address": key.address, "publicKey": key.node_id, "file": str(out)})


@command.command("address")
@click.argument("name", metavar="[IDENTITY]", default="", shell_complete=identities)
@click.option(
    "--identity", default="", metavar="NAME", shell_complete=identities, help="Identity of the project; default: all."
)
@key_options
@click.option("--member", "members", multiple=True, metavar="ADDRESS", help="Member wallet of a multisig; repeatable.")
@click.option("--threshold", type=WholeNumber(1, 63), metavar="NUMBER", help="Number of signatures a multisig needs.")
@json_option
@click.pass_obj
def address(
    app: App,
    /,
    name: str,
    identity: str,
    seed_env: str,
    seed_file: str,
    members: tuple[str, ...],
    threshold: int | None,
) -> None:
    """Show the address of an identity (default: all), of a key, or of the multisig of --member and --threshold."""
    if name and identity not in {"", name}:
        raise click.UsageError("give either IDENTITY or --identity")
    multisig = bool(members) or threshold is not None
    if sum((bool(identity or name), bool(seed_env or seed_file), multisig)) > 1:
        raise click.UsageError("give one of IDENTITY, a seed, and --member with --threshold")
    if multisig:
        try:
            account = multisig_address(members, threshold or 0)
        except ValueError as error:
            remedy = "Correct --member and --threshold."
            raise failed("multisig", str(error), remedy=remedy, exit_code=ExitCode.CONFIGURATION) from None
        app.show(account, {"kind": "multisig", "address": account, "members": list(members), "threshold": threshold})
        return
    key = key_from_options(app, seed_env, seed_file)
    if key is not None:
        app.show(key.address, {"kind": "wallet", "address": key.address, "publicKey": key.node_id})
        return
    _identities(app, identity or name)


def _identities(app: App, identity: str) -> None:
    project = app.project()
    known = project.loaded.project.identities
    if identity and identity not in known:
        raise lookup.unknown("identity", identity, known, f"Use one of: {', '.join(known)}.")
    rows: list[dict[str, Json]] = []
    problems: list[DiagnosticError] = []
    for name in [identity] if identity else sorted(known):
        try:
            rows.append({"name": name, **_account(project, name)})
        except DiagnosticError as error:
            problems.append(error)
    columns = ("name", "kind", "address", "publicKey")
    lines = [[row.get(c) or "-" for c in columns] for row in rows]
    if rows:
        app.show(table([c.upper() for c in ("name", "kind", "address", "public key")], lines), rows)
    if problems:
        raise DiagnosticError(*dict.fromkeys(d for error in problems for d in error.diagnostics))


def _account(project: Project, name: str) -> dict[str, Json]:
    """Kind and address of an identity; a node key has a public key instead."""
    spec = project.loaded.project.identities[name]
    if spec.sessions is not None:
        return {"kind": "sessions", "address": spec.address}
    match project.identities.credentials(name, Route(name, "", name, ())):
        case WalletCredentials(key):
            return {"kind": "wallet", "address": key.address, "publicKey": key.node_id}
        case NodeKeyCredentials(key):
            return {"kind": "nodeKey", "publicKey": key.node_id}
        case MultisigCredentials() as owner:
            wallets: Json = [*owner.wallets]
            return {"kind": "multisig", "address": owner.account, "members": wallets, "threshold": owner.threshold}
        case _:
            return {"kind": "none"}


@command.command("sign")
@click.option(
    "--identity",
    default="",
    metavar="NAME",
    shell_complete=identities,
    help="Identity of the project; default: the only one.",
)
@key_options
@click.option(
    "--count",
    type=WholeNumber(1, 1000),
    default=1,
    show_default=True,
    metavar="NUMBER",
    help="Number of new nonces.",
)
@click.argument("session_id", default="")
@click.option(
    "--with",
    "others",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Verify and add the signatures of another member from this file; repeatable.",
)
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="Write to this file instead of standard output."
)
@json_option
@click.pass_obj
def sign(
    app: App,
    /,
    identity: str,
    seed_env: str,
    seed_file: str,
    count: int,
    session_id: str,
    others: tuple[Path, ...],
    out: Path | None,
) -> None:
    """Sign new nonces, as a JSON list of {wallet, nonce, sign}: the form of `multisig.signs`.

    Each signature is valid for one call to each target: sign as many nonces as calls. With SESSION_ID, sign that
    session id instead; any other text is refused, since it could be a transaction. A multisig identity signs with each
    of its keys in the project. Signed texts and signers are printed on standard error.
    """
    if identity and (seed_env or seed_file):
        raise click.UsageError("give either --identity or a seed")
    if session_id and (count > 1 or others):
        raise click.UsageError("SESSION_ID takes neither --count nor --with")
    given = _session_id(session_id) if session_id else None
    found = [s for file in others for s in read_signatures(app.directory / file)]
    key = key_from_options(app, seed_env, seed_file)
    keys: tuple[Sr25519Key, ...] = (key,) if key is not None else ()
    if not keys and (identity or not others):
        keys = identity_keys(app.project(), identity)
    signed: list[dict[str, str]] = (
        [_signed(key, given) for key in keys]
        if given is not None
        else [
            *({"wallet": s.wallet, "nonce": s.nonce, "sign": s.sign} for s in dict.fromkeys(found)),
            *(_signed(key, Nonce(app.runtime.uuid())) for key in keys for _ in range(count)),
        ]
    )
    if out is not None:
        write_private(app.directory / out, json.dumps(signed, indent=1) + "\n")
    what = "a session id" if given is not None else "1 new nonce" if count == 1 else f"{count} new nonces"
    detail = f"Session id: {session_id}." if given is not None else ""
    app.report(Diagnostic("signed", Severity.NOTE, f"{key.address} signed {what}", detail) for key in keys)
    if out is not None:
        app.show(f"wrote {len(signed)} signatures to {out}", {"signatures": len(signed), "file": str(out)})
        return
    app.json = True  # the same JSON with and without --json
    app.show("", signed)


def _session_id(text: str) -> SessionId:
    """The session id of the command line. Raises DiagnosticError for any other text."""
    try:
        return SessionId(SecretText(text))
    except ValueError:
        raise failed(
            "not-a-session-id",
            "SESSION_ID is not a session id; nothing was signed",
            "A session id is Base58Check of a UUID: 55 letters and digits with a checksum. Another text could be a "
            "transaction of the wallet, or an incomplete session id.",
            "Copy the session id printed by `dbc-iac wallet session NODE --print`.",
            ExitCode.REFUSED,
        ) from None


def _signed(key: Sr25519Key, message: Signable) -> dict[str, str]:
    return {"wallet": key.address, "nonce": message.text, "sign": key.sign(message)}


@command.command("session")
@click.argument("name", metavar="[NODE]", default="", shell_complete=names("Node", "BareMetalInstance"))
@identity_options
@click.option("--print", "reveal", is_flag=True, help="Print the session.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write the session to this file, as JSON.")
@json_option
@click.pass_obj
def session(app: App, /, name: str, reveal: bool, out: Path | None, identity: str, order: str) -> None:
    """Obtain a session for a third party that uses your VMs on NODE: a session id and its signature.

    A session never expires and cannot be revoked. It is valid as long as the rental and opens all VMs of the wallet
    there. It is also valid for one call on each other machine of the wallet: see docs/security.md. NODE is a Node, a
    BareMetalInstance, or a node id. Give --print or --out.
    """
    if reveal == (out is not None):
        raise click.UsageError("give either --print or --out FILE")
    if out is not None:
        refuse_existing(app.directory / out)

    async def work(console: Console) -> dict[str, str]:
        given = TargetOptions(name, identity, order)
        rented = console.inventory.find("BareMetalInstance", name) if name else None
        route = instance(console, name, given).route if rented is not None else lookup.node(console, given)
        channel = console.channel(route)
        owner = channel.credentials
        if isinstance(owner, MultisigCredentials) and not owner.signs_sessions:
            found = read(await nodes.session_id(channel), f"the session at {route.name}")
            console.warn(
                "unsigned", "the session is not signed: no key of a member is configured",
                remedy="Have one member run `dbc-iac wallet sign SESSION_ID` with the key.",
            )  # fmt: skip
            return {"target": route.target, "session_id": found.text}
        got = read(await nodes.obtain_session(channel), f"the session at {route.name}")
        return {"target": route.target, "session_id": got.id.reveal(), "session_id_sign": got.sign.reveal()}

    got = run(app, work)
    use = (
        f"In the third party's project file:\n  NAME: {{sessions: {{{got['target']}: "
        "{id: {env: DBC_SESSION_ID}, sign: {env: DBC_SESSION_SIGN}}}}"
    )
    if out is not None:
        write_private(app.directory / out, json.dumps(got, indent=1) + "\n")
        app.show(f"wrote {out}\n{use}", {"target": got["target"], "file": str(out)})
    else:
        app.show("\n".join([*(f"{k}: {v}" for k, v in got.items()), use]), got, redact=False)
