"""The server of `dbc-iac emulator`, from a world file. Every invalid input is one diagnostic."""

from __future__ import annotations

import re
from pathlib import Path

from msgspec.structs import replace

from dbc_iac.cli.app import App
from dbc_iac.diagnostics import DiagnosticError, Diagnostics, failure
from dbc_iac.emulator import Network, WorldSpec
from dbc_iac.emulator.http import chain_rpc
from dbc_iac.emulator.server import CannotListen, CannotServe, serve
from dbc_iac.files.reading import read_given
from dbc_iac.manifest.source_map import SourceMap
from dbc_iac.manifest.validate import parse
from dbc_iac.manifest.yaml import MAX_BYTES, scan_yaml


def serve_world(
    app: App,
    world: Path,
    listen: tuple[str, ...],
    admin: str,
    token: str,
    time_scale: float | None,
    keep: Path | None,
) -> None:
    """Serve until interrupted. Raises DiagnosticError."""
    spec = _world(app, world)
    if time_scale is not None:
        spec = spec.model_copy(update={"time_scale": time_scale})
    try:
        network = Network(spec)
    except KeyError as error:
        raise _problem(
            f"sessions: there is no machine {error.args[0]}", "Correct the `target` of the session."
        ) from None
    ports = dict(_port(network, text) for text in listen)
    if admin and not token:
        raise _problem("the admin API needs a token", "Set DBC_IAC_ADMIN_TOKEN.")
    admin_address = _address(admin) if admin else None

    def listening() -> None:
        for name, (host, number) in ports.items():
            path = "api/v1/" if name in network.ports else ""
            app.runtime.print_err(f"{name} listens on http://{host}:{number}/{path} (press Ctrl-C to stop)")

    try:
        app.runtime.run(serve(network, ports, admin_address, token, keep, listening))
    except CannotServe as error:
        raise _problem(str(error), "Use 127.0.0.1 for --listen, and a folder of its own for --keep.") from None
    except CannotListen:
        addresses = ", ".join(text for text in (*listen, admin) if text)
        raise _problem(
            f"cannot listen on {addresses}", "End the process that uses the port, or choose another."
        ) from None


def _port(network: Network, text: str) -> tuple[str, tuple[str, int]]:
    """Parse `[NODE=]HOST:PORT`: a client node, a GPU node or manager by name or id, or `chain`; default: the first
    client."""
    name, equals, address = text.rpartition("=")
    name = name if equals else network.spec.clients[0].name
    if name not in (ports := {*network.ports, chain_rpc.PORT}):
        known = ", ".join(sorted(n for n in ports if len(n) < 64))
        raise _problem(f"unknown node {name}", f"Use one of {known}, or the id of a GPU node or manager.")
    return name, _address(address)


def _world(app: App, path: Path) -> WorldSpec:
    """The world of a file, with the diagnostics of manifests. Raises DiagnosticError."""
    try:
        content = read_given(path, MAX_BYTES)
    except OSError as error:
        raise _problem(f"cannot read {path} ({error.strerror})", "Name a world file with --world.") from None
    app.sources[str(path)] = content.decode("utf-8", "replace")
    found = Diagnostics()
    documents, _ = scan_yaml(content, str(path), found)
    found.raise_errors()
    marks = documents[0].marks if documents else SourceMap()
    world = parse(WorldSpec, documents[0].value if documents else {}, marks, (), found)
    if world is None:
        raise DiagnosticError(*(replace(d, remedy=d.remedy.replace("docs/kinds.md", "docs/world.md")) for d in found))
    return world


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not re.fullmatch("[0-9]{1,5}", port) or int(port) > 65535:
        raise _problem(f"{text} is not HOST:PORT", "Use an address such as 127.0.0.1:5050.")
    return host, int(port)


def _problem(summary: str, remedy: str) -> DiagnosticError:
    return failure("emulator", summary, remedy=remedy)
