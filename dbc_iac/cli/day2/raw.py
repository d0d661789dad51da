"""`api`: any endpoint, signed, with the answer as it is."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from dbc_iac.api.calls import CallClass
from dbc_iac.api.transport import Reply
from dbc_iac.cli.app import App, Exit
from dbc_iac.cli.day2.answers import masked, problem
from dbc_iac.cli.day2.scope import Scope
from dbc_iac.cli.options import json_option, yes_option
from dbc_iac.diagnostics import ExitCode
from dbc_iac.plan import Session

_READS = ("list", "progress", "/mining_nodes", "/rent_orders", "/peers", "/logs/")


@click.command()
@click.argument("path")
@click.option("--node", default="", metavar="NODE", help="Node, BareMetalManager, BareMetalInstance, or an id.")
@click.option("--body", default="", metavar="FILE|-", help="The `additional` object, from a file or standard input.")
@click.option("--unsigned", is_flag=True, help="Without credentials.")
@click.option("--reveal", is_flag=True, help="Show passwords and keys of the answer.")
@yes_option
@json_option
@click.pass_obj
def api(app: App, path: str, node: str, body: str, unsigned: bool, reveal: bool, yes: bool, as_json: bool) -> None:
    """Ask PATH (below /api/v1, such as /tasks) of a node, or of the client node itself, and print its answer.

    What it does is up to you: nothing is checked but that the request cannot end the node's process.
    """
    app.json = as_json
    scope = Scope(app)
    reach = _reach(scope, node)
    additional = _additional(app, body)
    if not _only_reads(path):
        scope.consent(yes, f"Send {path} to {reach.name}?")

    async def ask(session: Session) -> Any:
        channel = session.connect(reach)
        return await channel.raw(path, additional, CallClass.BLIND, signed=bool(node) and not unsigned)

    answer = scope.work(ask)
    if not isinstance(answer, Reply):
        raise problem("no-answer", answer.message, "See what the message says.")
    text = answer.body.decode("utf-8", "replace").strip()
    try:
        value = json.loads(text)
    except ValueError:
        app.show(text, {"status": answer.status, "body": text})
        raise Exit(ExitCode.ERROR) from None
    value = value if reveal else masked(value)
    app.show(json.dumps(value, indent=2, ensure_ascii=False), {"status": answer.status, "body": value})
    if not (isinstance(value, dict) and value.get("errcode") == 0):
        raise Exit(ExitCode.ERROR)


def _reach(scope: Scope, node: str) -> Any:
    if not node:
        return scope.client()
    inventory, plain = scope.workspace.inventory, node.rpartition("/")[2]
    if inventory.find("BareMetalManager", plain) is not None and inventory.find("Node", plain) is None:
        return scope.manager(plain)
    if inventory.find("BareMetalInstance", plain) is not None and inventory.find("Node", plain) is None:
        return scope.instance(plain)
    return scope.node(node)


def _only_reads(path: str) -> bool:
    parts = path.partition("?")[0].strip("/").split("/")
    if len(parts) == 1 or (len(parts) == 2 and parts[0] == "tasks" and parts[1] != "start"):
        return True
    return any(word in f"/{'/'.join(parts)}/" for word in _READS) and parts[-1] != "free_memory"


def _additional(app: App, body: str) -> dict[str, Any]:
    if not body:
        return {}
    try:
        text = sys.stdin.read() if body == "-" else (app.directory / body).read_text(encoding="utf-8")
        value = json.loads(text)
    except OSError as error:
        raise problem("body-unreadable", f"{body} cannot be read ({error.strerror})", "Name a file.") from None
    except ValueError as error:
        raise problem("body-invalid", f"the body is not JSON: {error}", "Give a JSON object.") from None
    if not isinstance(value, dict):
        raise problem("body-invalid", "the body is not a JSON object", "Give what goes into `additional`.")
    return value
