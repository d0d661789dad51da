"""The emulator on real loopback ports: nodes, the admin API, and a world saved on disk."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import ipaddress
import json
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dbc_iac.emulator.admin import Admin, AdminError
from dbc_iac.emulator.http.answer import Response
from dbc_iac.emulator.http.evhttp import Asked
from dbc_iac.emulator.http.listener import Handler, Listener
from dbc_iac.emulator.network import Network

KEPT = "world.json"
SAVE_SECONDS = 5.0
Address = tuple[str, int]


class CannotServe(ValueError):  # noqa: N818
    """An address that is not loopback, or a saved world that cannot be read or written."""


class CannotListen(ValueError):  # noqa: N818
    """A port that is in use or not permitted."""


async def serve(
    network: Network,
    ports: Mapping[str, Address],
    admin: Address | None = None,
    token: str = "",
    keep: Path | None = None,
    listening: Callable[[], None] = lambda: None,
) -> None:
    """Serve nodes (by name or id), and the admin API if requested, until interrupted.

    With `keep`, load the saved world, and save it at the end. `listening` is called once every port is open. Raises
    CannotServe, CannotListen.
    """
    handlers = [(node_handler(network, name), address) for name, address in ports.items()]
    if admin is not None:
        handlers.append((admin_handler(network, token), admin))
    for _, (host, _port) in handlers:
        _check_loopback(host)
    if keep is not None:
        load(network, keep)
    network.begin()
    ended = asyncio.Event()
    _end_on_signals(ended)
    saving = asyncio.ensure_future(_save_often(network, keep)) if keep is not None else None
    listeners = [(Listener(handler, network.clock.wall), address) for handler, address in handlers]
    try:
        for listener, address in listeners:
            await _open(listener, address)
        listening()
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


def node_handler(network: Network, port: str) -> Handler:
    """HTTP port of a node, by its name or id."""

    async def handler(asked: Asked) -> Response:
        return await network.ask(port, asked.method, asked.uri, asked.body, asked.head_bytes)

    return handler


def load(network: Network, folder: Path) -> None:
    """Load the saved world, if there is one. Raises CannotServe."""
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
    """Save the world atomically. Raises CannotServe."""
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
    """The first interrupt stops all of them cleanly, so that the world is saved."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):  # not in the main thread
            loop.add_signal_handler(number, ended.set)


def admin_handler(network: Network, token: str) -> Handler:
    """Admin API: GET inspects, POST acts, with `Authorization: Bearer TOKEN`."""
    admin = Admin(network)

    async def handler(asked: Asked) -> Response:
        given = asked.header("Authorization") or ""
        if not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
            return _json_response(401, {"error": "the token is missing or wrong"})
        path = asked.uri.partition("?")[0]
        try:
            if asked.method == "GET":
                return _json_response(200, await admin.look(path))
            return _json_response(200, await admin.act(path, _object(asked.body)))
        except KeyError:
            return _json_response(404, {"error": f"there is no {path}", **await admin.look("/")})
        except AdminError as error:
            return _json_response(400, {"error": str(error)})

    return handler


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body or b"{}")
    except ValueError as error:
        raise AdminError(f"the body is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise AdminError("the body is not a JSON object")
    return value


def _json_response(status: int, value: dict[str, Any]) -> Response:
    return Response(status, json.dumps(value))
