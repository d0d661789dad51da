"""`dbc-iac emulator`: reads the world file and serves it. Every bad input is one diagnostic."""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import ValidationError

from dbc_iac.cli.app import App
from dbc_iac.diagnostics import Diagnostic, DiagnosticError, Severity
from dbc_iac.sim import Emulator, WorldSpec
from dbc_iac.sim.server import serve


def serve_world(
    app: App, world: Path, listen: str, client: str, admin: str, token: str, time_scale: float | None
) -> None:
    """Serve until interrupted. Raises DiagnosticError."""
    spec = _world(world)
    if time_scale is not None:
        spec = spec.model_copy(update={"time_scale": time_scale})
    chosen = client or spec.clients[0]
    if chosen not in spec.clients:
        raise _problem(f"the world has no client {chosen}", f"Clients: {', '.join(spec.clients)}.")
    if admin and not token:
        raise _problem("the admin door needs a token", "Set DBC_IAC_ADMIN_TOKEN.")
    door = _address(admin) if admin else None
    app.runtime.tell(f"client node {chosen} listens on http://{listen}/api/v1/ (Ctrl-C ends it)")
    try:
        app.runtime.run(serve(Emulator(spec), chosen, _address(listen), door, token))
    except ValueError as error:
        raise _problem(str(error), "Use 127.0.0.1.") from None
    except SystemExit:
        raise _problem(f"{listen} cannot be listened on", "Is another process there? Choose another port.") from None


def _world(path: Path) -> WorldSpec:
    try:
        return WorldSpec.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")) or {})
    except OSError as error:
        raise _problem(f"{path} cannot be read ({error.strerror})", "Name a world file with --world.") from None
    except yaml.YAMLError as error:
        raise _problem(f"{path} is not YAML", str(error).replace("\n", " ")) from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(p) for p in first["loc"])
        raise _problem(f"{path}: {place}: {first['msg']}", "See docs/world.md.") from None


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit():
        raise _problem(f"{text} is not HOST:PORT", "Write 127.0.0.1:5050.")
    return host, int(port)


def _problem(summary: str, remedy: str) -> DiagnosticError:
    return DiagnosticError(Diagnostic("emulator", Severity.ERROR, summary, remedy=remedy))
