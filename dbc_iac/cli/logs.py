"""Logging to standard error: `-v`, `-vv`, DBC_IAC_LOG, and the tracebacks of DBC_IAC_DEBUG. Silent by default."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from dbc_iac.diagnostics import failure
from dbc_iac.views.text.lines import escaped

if TYPE_CHECKING:
    from dbc_iac.cli.app import App

LEVELS = {"error": logging.ERROR, "warning": logging.WARNING, "info": logging.INFO, "debug": logging.DEBUG}
_ROOT = logging.getLogger("dbc_iac")
_SILENT = logging.CRITICAL + 1


class LogHandler(logging.Handler):
    """Prints records with secrets removed and control characters escaped."""

    def __init__(self, app: App) -> None:
        super().__init__(logging.DEBUG)
        self._app = app
        self.threshold = _SILENT
        self.tracebacks = bool(app.runtime.environ.get("DBC_IAC_DEBUG"))
        self.before = _ROOT.level

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno >= self.threshold or (self.tracebacks and bool(record.exc_info))

    def emit(self, record: logging.LogRecord) -> None:
        at = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S.%f")[:12]
        message = self._app.redaction(record.getMessage())
        self._app.runtime.print_err(f"{at} {record.levelname} {record.name}: {escaped(message)}")
        if record.exc_info and self.tracebacks:
            trace = logging.Formatter().formatException(record.exc_info)
            self._app.runtime.print_err("\n".join(escaped(line) for line in self._app.redaction(trace).splitlines()))


def start_logs(app: App, name: str) -> None:
    """Print what the package logs from a level on, until the command ends. Raises DiagnosticError for an unknown one.

    `name`: empty for no level; DBC_IAC_DEBUG prints tracebacks at any.
    """
    if name and name not in LEVELS:
        raise failure("log-level", f"invalid DBC_IAC_LOG: {name[:40]}", remedy=f"Set it to {_choices()}.")
    if not app.logs:
        app.logs.append(LogHandler(app))
        _ROOT.addHandler(app.logs[0])
    handler = app.logs[0]
    handler.threshold = LEVELS.get(name, _SILENT)
    _ROOT.setLevel(logging.DEBUG if handler.tracebacks else handler.threshold)


def stop_logs(app: App) -> None:
    """Print no more logs of a command."""
    for handler in app.logs:
        _ROOT.removeHandler(handler)
        _ROOT.setLevel(handler.before)


def _choices() -> str:
    *first, last = LEVELS
    return f"{', '.join(first)} or {last}"
