"""Optional parts of the installation."""

from __future__ import annotations

from importlib.util import find_spec

from dbc_iac.diagnostics import failure


def require_emulator() -> None:
    """Raise DiagnosticError if the emulator's extra is not installed."""
    if find_spec("looptime") is None:
        remedy = "Install it with: pip install 'dbc-iac[emulator]'"
        raise failure("extra-missing", "the emulator is not installed", remedy=remedy)


def require_controller() -> None:
    """Raise DiagnosticError if the controller's extra is not installed."""
    needed = ("itsdangerous", "procrastinate", "psycopg", "psycopg_pool", "prometheus_client", "starlette", "uvicorn")
    if missing := [name for name in needed if find_spec(name) is None]:
        summary = f"the controller is not installed ({missing[0]} is missing)"
        remedy = "Install it with: pip install 'dbc-iac[controller]'"
        raise failure("extra-missing", summary, remedy=remedy)
