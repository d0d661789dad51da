"""`deeplink`: device id and password of DeepLink on a rented bare-metal server."""

from __future__ import annotations

import asyncio

import click

from dbc_iac.api.endpoints import instances
from dbc_iac.api.outcome import Done
from dbc_iac.api.requests import DeeplinkPassword
from dbc_iac.api.storage_responses import DeeplinkView
from dbc_iac.cli.app import App
from dbc_iac.cli.ops.console import Console, run
from dbc_iac.cli.ops.drift_warnings import warn_of_password
from dbc_iac.cli.ops.lookup import ResolvedTarget, TargetOptions, identity_options, server_argument
from dbc_iac.cli.ops.options import reveal_option, wait_options
from dbc_iac.cli.ops.outcomes import accepted, not_finished, read
from dbc_iac.cli.ops.passwords import password_from_options, password_options
from dbc_iac.cli.ops.rented_server import instance
from dbc_iac.cli.options import json_option, yes_option
from dbc_iac.json import Json
from dbc_iac.kinds.bare_metal.instance import BareMetalInstanceSpec
from dbc_iac.secret import SecretText
from dbc_iac.views.redaction import HIDDEN
from dbc_iac.views.text.tables import object_text

POLL = 2.0
"""Seconds between two reads of the report of DeepLink."""


@click.group()
def command() -> None:
    """DeepLink on rented bare-metal servers: get, set."""


@command.command("get")
@server_argument
@identity_options
@reveal_option
@json_option
@click.pass_obj
def get(app: App, /, server: str, reveal: bool, **where: str) -> None:
    """Show the device id and password last reported by DeepLink. SERVER is a BareMetalInstance or a node id."""

    async def work(console: Console) -> tuple[ResolvedTarget, DeeplinkView]:
        found = instance(console, server, TargetOptions(**where))
        return found, read(await instances.deeplink(console.channel(found.route)), f"DeepLink of {found.label}")

    found, view = run(app, work)
    password = view.device_password.reveal() if reveal else HIDDEN
    text = object_text(found.label, {"device id": view.device_id, "password": password})
    shown: dict[str, Json] = {"deviceId": view.device_id, "devicePassword": password}
    app.show(text, {"server": found.id, "resource": found.address, **shown}, redact=not reveal)


@command.command("set")
@server_argument
@password_options
@identity_options
@wait_options
@yes_option
@json_option
@click.pass_obj
def set_password(
    app: App,
    /,
    server: str,
    password_env: str,
    password_file: str,
    wait: float | None,
    yes: bool,
    **where: str,
) -> None:
    """Set the DeepLink password. --wait waits until DeepLink reports it."""

    async def work(console: Console) -> tuple[ResolvedTarget, str]:
        found = instance(console, server, TargetOptions(**where))
        password = password_from_options(app, password_env, password_file)
        body = DeeplinkPassword(device_password=password)
        if isinstance(found.spec, BareMetalInstanceSpec) and found.spec.deeplink is not None:
            warn_of_password(console, found.address, "deeplink.password")
        with console.changing(f"Set the DeepLink password of {found.label}?", "deeplink set"):
            outcome = await instances.set_deeplink_password(console.channel(found.route), body)
        look = f"dbc-iac deeplink get {found.label}"
        accepted(outcome, f"the DeepLink password of {found.label}", look)
        return found, "accepted" if wait is None else await _reported(console, found, password, wait, look)

    found, status = run(app, work, yes=yes)
    app.show(f"{found.label}: {status}", {"server": found.id, "resource": found.address, "status": status})


async def _reported(console: Console, found: ResolvedTarget, password: SecretText, wait: float, look: str) -> str:
    clock = asyncio.get_running_loop().time
    end = clock() + wait
    while True:
        shown = await instances.deeplink(console.channel(found.route))
        if isinstance(shown, Done) and shown.value.device_password == password:
            return "password set"
        if clock() >= end:
            raise not_finished(f"the DeepLink password of {found.label}", "not reported by DeepLink", wait, look)
        await asyncio.sleep(POLL)
