"""The emulator on real ports, of loopback only: nodes, the admin door, and a world that is kept on disk."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import ipaddress
import json
import signal
from collections.abc import Iterator, Mapping, MutableMapping
from pathlib import Path
from typing import Any

from dbc_iac.emulator.admin import Admin, Mistake
from dbc_iac.emulator.http.asgi import App, Receive, Send, port_app, read_body
from dbc_iac.emulator.network import Network

KEPT = "world.json"
SAVE_SECONDS = 5.0
_KEEP_ALIVE_SECONDS = 30
_MOST_HEADER_BYTES = 256 * 1024
Address = tuple[str, int]


class CannotServe(ValueError):  # noqa: N818 - what is the matter
    """An address that is not loopback, or a kept world that cannot be read or written."""


async def serve(
    network: Network,
    ports: Mapping[str, Address],
    admin: Address | None = None,
    token: str = "",
    keep: Path | None = None,
) -> None:
    """Serves nodes (by name or id), and the admin door where it is wanted, until interrupted.

    With `keep` the world goes on where it was, and is saved there. Raises CannotServe, SystemExit when a port is taken.
    """
    doors = [(port_app(network, name), address) for name, address in ports.items()]
    if admin is not None:
        doors.append((admin_app(network, token), admin))
    for _, (host, _port) in doors:
        _check_loopback(host)
    if keep is not None:
        load(network, keep)
    network.begin()
    saving = asyncio.ensure_future(_save_often(network, keep)) if keep is not None else None
    servers = [_server(app, address) for app, address in doors]
    _end_on_signals(servers)
    try:
        await asyncio.gather(*(server.serve() for server in servers))
    finally:
        if saving is not None and keep is not None:
            saving.cancel()
            save(network, keep)


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


def _end_on_signals(servers: list[Any]) -> None:
    """The first interrupt ends all of them in good order, so that the world is kept."""

    def end() -> None:
        for server in servers:
            server.should_exit = True

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):  # not in the main thread
            loop.add_signal_handler(number, end)


def _server(app: App, address: Address) -> Any:
    import uvicorn

    class Server(uvicorn.Server):
        """Signals are not its own: there are several servers."""

        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

    config = uvicorn.Config(
        app,
        host=address[0],
        port=address[1],
        http="h11",
        log_level="critical",
        lifespan="off",
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=1,
        h11_max_incomplete_event_size=_MOST_HEADER_BYTES,
    )
    return Server(config)


def admin_app(network: Network, token: str) -> App:
    """GET looks, POST acts, with `Authorization: Bearer TOKEN`."""
    admin = Admin(network)

    async def app(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        given = dict(scope["headers"]).get(b"authorization", b"").decode("latin-1")
        if not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
            await _answer(send, 401, {"error": "the token is missing or wrong"})
            return
        body, path = await read_body(receive), str(scope["path"])
        try:
            if scope["method"] == "GET":
                await _answer(send, 200, await admin.look(path))
            else:
                await _answer(send, 200, await admin.act(path, _object(body)))
        except KeyError:
            await _answer(send, 404, {"error": f"there is no {path}", **await admin.look("/")})
        except Mistake as mistake:
            await _answer(send, 400, {"error": str(mistake)})

    return app


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body or b"{}")
    except ValueError as error:
        raise Mistake(f"the body is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise Mistake("the body is not a JSON object")
    return value


async def _answer(send: Send, status: int, value: dict[str, Any]) -> None:
    content = json.dumps(value).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
