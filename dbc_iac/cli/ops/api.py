"""`api PATH`: send a request to any endpoint, signed by an identity of the project, and print the raw reply."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from msgspec.structs import replace

from dbc_iac.api.channel import Channel
from dbc_iac.api.endpoints import ALL, Asks
from dbc_iac.api.idempotency import CallClass
from dbc_iac.api.outcome import Done, NotSent, Refused, Unknown
from dbc_iac.api.raw_request import CREDENTIALS, RawReply, asks_of, class_of, exchange
from dbc_iac.cli.app import App
from dbc_iac.cli.ops import lookup
from dbc_iac.cli.ops.console import Console, run
from dbc_iac.cli.ops.lookup import TargetOptions, where_options
from dbc_iac.cli.ops.options import reveal_option
from dbc_iac.cli.ops.outcomes import failed, retry_remedy
from dbc_iac.cli.options import json_option, yes_option
from dbc_iac.cli.runtime import standard_input
from dbc_iac.diagnostics import ExitCode
from dbc_iac.files.reading import read_given
from dbc_iac.json import Json, load_json
from dbc_iac.secret import SecretText
from dbc_iac.views.redaction import HIDDEN


@click.command("api")
@click.argument("path")
@click.option(
    "-f",
    "--file",
    "--body",
    type=click.Path(path_type=Path, allow_dash=True),
    help="File with the body; -: standard input.",
)
@click.option(
    "--client",
    default="",
    metavar="NAME",
    help="Use this client node; without --node the request is for the client node itself.",
)
@click.option("--unsigned", is_flag=True, help="Send no credentials, for public endpoints.")
@reveal_option
@where_options
@yes_option
@json_option
@click.pass_obj
def command(
    app: App,
    /,
    path: str,
    file: Path | None,
    client: str,
    unsigned: bool,
    reveal: bool,
    yes: bool,
    **where: str,
) -> None:
    """Send one request and print the reply. Passwords and keys in it are *** without --reveal.

    PATH is below /api/v1, such as /tasks (or /api/v1/tasks). The body is the JSON object of the API documentation, or
    the value of its `additional`; missing peer_nodes_list (--node), rent_order and credentials are added. Endpoints of
    a client node need no --node.
    """
    if not path.startswith("/"):
        raise click.UsageError(f"PATH {path}: expected a path that begins with /")
    if any(not c.isascii() or not c.isprintable() or c in ' #"\\' for c in path):
        raise click.UsageError("PATH: invalid character")
    if path.startswith(f"{PREFIX}/"):  # as the public document writes it
        path = path.removeprefix(PREFIX)
    body = _body(app, file)
    call_class = class_of(path, ALL) or CallClass.BLIND

    async def work(console: Console) -> RawReply:
        channel = _channel(console, path, body, client, TargetOptions(**where), unsigned)
        if call_class is CallClass.READ:
            return await exchange(channel, path, body, call_class)
        with console.changing(f"Send {path}?", "api"):
            return await exchange(channel, path, body, call_class)

    reply = run(app, work, yes=yes)
    for secret in secrets_in(reply.text):
        app.redaction.add(secret)
    _show(app, reply if reveal else replace(reply, text=blanked(reply.text)), call_class, reveal=reveal)


def _body(app: App, file: Path | None) -> dict[str, Any]:
    """The body of the file. Raises DiagnosticError."""
    if file is None:
        return {}
    name = "standard input" if str(file) == "-" else str(file)
    try:
        value = load_json(standard_input().read() if str(file) == "-" else read_given(app.directory / file))
    except OSError as error:
        raise failed(
            "body-unreadable", f"cannot read {name} ({error.strerror})", "Nothing was sent.", _OBJECT, _WRONG
        ) from None
    except ValueError:
        raise failed("body-unreadable", f"{name} is not JSON", "Nothing was sent.", _OBJECT, _WRONG) from None
    if not isinstance(value, dict):
        raise failed("body-unreadable", f"{name} is not a JSON object", "Nothing was sent.", _OBJECT, _WRONG)
    whole = value.keys() & {"peer_nodes_list", "additional", "rent_order", *CREDENTIALS}
    return value if whole else {"additional": value}


_OBJECT = "Give a file with a JSON object, or - for standard input."
_WRONG = ExitCode.CONFIGURATION
PREFIX = "/api/v1"


def _channel(
    console: Console, path: str, body: dict[str, Any], client: str, where: TargetOptions, unsigned: bool
) -> Channel:
    """Channel to the target, or to the client node itself if the body, --client or the endpoint requires it."""
    clients = console.inventory.clients
    if client and client not in clients:
        raise lookup.unknown("client node", client, clients, f"It is one of: {', '.join(clients)}.")
    asked = asks_of(path, ALL)
    nobody = not where.node and "peer_nodes_list" not in body and _is_left_out(console, asked)
    if (client and not where.node) or body.get("peer_nodes_list") == [] or nobody:
        return Channel(console.connections, "", None, (client,) if client else clients)
    route = lookup.target(console, where)
    open_to_all = Asks.AUTHORISED not in asked and Asks.SIGNED not in asked and bool(asked)
    anyone = unsigned or CREDENTIALS & body.keys() or (open_to_all and not route.identity)
    channel = console.public(route) if anyone else console.channel(route)
    return Channel(
        channel.connections, channel.target, channel.credentials, (client,) if client else channel.clients,
        None if unsigned else route.rent_order or None, channel.target,
    )  # fmt: skip


def _is_left_out(console: Console, asked: frozenset[Asks]) -> bool:
    """Whether the client node itself is the target: it answers the endpoint, and no node is given or unambiguous."""
    if Asks.CLIENT_NODE not in asked:
        return False
    return asked == {Asks.CLIENT_NODE} or len([*console.inventory.of("Node")]) != 1


def _show(app: App, reply: RawReply, call_class: CallClass, *, reveal: bool) -> None:
    outcome = reply.outcome
    if isinstance(outcome, NotSent):
        remedy = retry_remedy(outcome.message)
        raise failed("not-sent", f"request not sent: {outcome.message}", "Nothing was changed.", remedy)
    shown: dict[str, Json] = {"status": reply.status, "contentType": reply.content_type, "body": _parsed(reply.text)}
    text = reply.text.replace("\r\n", "\n").replace("\t", "  ")  # JSON stays JSON once it is escaped
    app.show(text, {**shown, "outcome": _NAMES[type(outcome)]}, redact=not reveal)
    if isinstance(outcome, Unknown):
        executed = "The node may have executed the request, or may execute it later."
        raise failed(
            "outcome-unknown",
            f"unknown outcome: {outcome.message}",
            "" if call_class is CallClass.READ else executed,
            retry_remedy(outcome.message) if call_class is CallClass.READ else "Read the object before repeating it.",
            exit_code=ExitCode.ERROR if call_class is CallClass.READ else ExitCode.PARTIAL,
        )
    if isinstance(outcome, Refused):
        raise click.exceptions.Exit(ExitCode.AUTHORISATION if outcome.authority else ExitCode.ERROR)


# On the text: JSON of nodes is sometimes broken, and passwords hold neither quotes nor backslashes.
_SECRETS = re.compile(
    r'("(?:login_password|vnc_password|node_private_key|ipmi_username|ipmi_password|device_password'
    r'|deeplink_device_password|session_id|session_id_sign|sign)"\s*:\s*")([^"]*)'
    r'|((?:pwd:|password: ?))[^"]*'
)
_ACCOUNT = re.compile(r'"(?:user_name|ipmi_username)"\s*:\s*"([^"]*)')


def secrets_in(text: str) -> Iterator[SecretText]:
    """The secrets of a reply, which its texts may repeat, but not those that are the name of an account."""
    accounts = _ACCOUNT.findall(text)
    yield from (SecretText(m[2]) for m in _SECRETS.finditer(text) if m[1] and m[2] not in accounts)


def blanked(text: str) -> str:
    """A reply with *** for passwords, keys and sessions, also in log lines."""
    return _SECRETS.sub(rf"\1\3{HIDDEN}", text)


_NAMES: dict[type, str] = {Done: "done", Refused: "refused", Unknown: "unknown"}


def _parsed(text: str) -> Json:
    """The body as JSON, or as text if it is not JSON."""
    try:
        value: Json = load_json(text)
    except ValueError:
        return text
    return value
