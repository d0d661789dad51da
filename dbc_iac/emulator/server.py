"""The emulator on real ports, of loopback only: nodes, the admin door, and a world that is kept on disk."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import ipaddress
import json
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dbc_iac.emulator.admin import Admin, Mistake
from dbc_iac.emulator.http.answer import Response
from dbc_iac.emulator.http.evhttp import Asked
from dbc_iac.emulator.http.listener import Door, Listener
from dbc_iac.emulator.network import Network

KEPT = "world.json"
SAVE_SECONDS = 5.0
Address = tuple[str, int]


class CannotServe(ValueError):  # noqa: N818 - what is the matter
    """An address that is not loopback, or a kept world that cannot be read or written."""


class CannotListen(ValueError):  # noqa: N818 - what is the matter
    """A port that is taken, or not ours to take."""


async def serve(
    network: Network,
    ports: Mapping[str, Address],
    admin: Address | None = None,
    token: str = "",
    keep: Path | None = None,
) -> None:
    """Serves nodes (by name or id), and the admin door where it is wanted, until interrupted.

    With `keep` the world goes on where it was, and is saved there. Raises CannotServe, CannotListen.
    """
    doors = [(node_door(network, name), address) for name, address in ports.items()]
    if admin is not None:
        doors.append((admin_door(network, token), admin))
    for _, (host, _port) in doors:
        _check_loopback(host)
    if keep is not None:
        load(network, keep)
    network.begin()
    ended = asyncio.Event()
    _end_on_signals(ended)
    saving = asyncio.ensure_future(_save_often(network, keep)) if keep is not None else None
    listeners = [(Listener(door, network.clock.wall), address) for door, address in doors]
    try:
        for listener, address in listeners:
            await _open(listener, address)
        await ended.wait()
    finally:
        for listener, _ in listeners:
            await listener.close()
        if saving is not None and keep is not None:
            saving.cancel()
            save(network, keep)


async def _open(listener: Listener, address: Address) -> None:
    try:
        await listener.open(*address)
    except OSError as error:
        raise CannotListen(f"{address[0]}:{address[1]}: {error.strerror}") from None


def node_door(network: Network, port: str) -> Door:
    """The HTTP port of a node, by its name or id."""

    async def door(asked: Asked) -> Response:
        return await network.ask(port, asked.method, asked.uri, asked.body, asked.head_bytes)

    return door


def load(network: Network, folder: Path) -> None:
    """Goes on with the kept world, if there is one. Raises CannotServe."""
    path = folder / KEPT
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
        network.from_state(state)
    except FileNotFoundError:
        return
    except OSError as error:
        raise CannotServe(f"{path} cannot be read ({error.strerror})") from None
    except (ValueError, KeyError, TypeError) as error:
        raise CannotServe(f"{path} is not a kept world ({type(error).__name__}: {str(error)[:100]})") from None


def save(network: Network, folder: Path) -> None:
    """Whole or not at all. Raises CannotServe."""
    path = folder / KEPT
    try:
        folder.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        part.touch(mode=0o600)
        part.write_text(json.dumps(network.to_state()), encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise CannotServe(f"{path} cannot be written ({error.strerror})") from None


async def _save_often(network: Network, folder: Path) -> None:
    while True:
        await asyncio.sleep(SAVE_SECONDS)
        save(network, folder)


def _check_loopback(host: str) -> None:
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = host == "localhost"
    if not loopback:
        raise CannotServe(f"{host} is not a loopback address")


def _end_on_signals(ended: asyncio.Event) -> None:
    """The first interrupt ends all of them in good order, so that the world is kept."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):  # not in the main thread
            loop.add_signal_handler(number, ended.set)


def admin_door(network: Network, token: str) -> Door:
    """GET looks, POST acts, with `Authorization: Bearer TOKEN`."""
    admin = Admin(network)

    async def door(asked: Asked) -> Response:
        given = asked.header("Authorization") or ""
        if not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
            return _told(401, {"error": "the token is missing or wrong"})
        path = asked.uri.partition("?")[0]
        try:
            if asked.method == "GET":
                return _told(200, await admin.look(path))
            return _told(200, await admin.act(path, _object(asked.body)))
        except KeyError:
            return _told(404, {"error": f"there is no {path}", **await admin.look("/")})
        except Mistake as mistake:
            return _told(400, {"error": str(mistake)})

    return door


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body or b"{}")
    except ValueError as error:
        raise Mistake(f"the body is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise Mistake("the body is not a JSON object")
    return value


def _told(status: int, value: dict[str, Any]) -> Response:
    return Response(status, json.dumps(value))
