"""Logging to standard error: `-v`, `-vv`, DBC_IAC_LOG, and the tracebacks of DBC_IAC_DEBUG. Silent by default."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from dbc_iac.cli.runtime import CommandRuntime
from dbc_iac.diagnostics import failure
from dbc_iac.views.text.lines import escaped

LEVELS = {"error": logging.ERROR, "warning": logging.WARNING, "info": logging.INFO, "debug": logging.DEBUG}
_ROOT = logging.getLogger("dbc_iac")
_SILENT = logging.CRITICAL + 1


class _Handler(logging.Handler):
    """Prints records with secrets removed and control characters escaped."""

    def __init__(self, runtime: CommandRuntime, redact: Callable[[str], str]) -> None:
        super().__init__(logging.DEBUG)
        self._runtime = runtime
        self._redact = redact
        self.threshold = _SILENT
        self.tracebacks = bool(runtime.environ.get("DBC_IAC_DEBUG"))

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno >= self.threshold or (self.tracebacks and bool(record.exc_info))

    def emit(self, record: logging.LogRecord) -> None:
        at = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S.%f")[:12]
        message = self._redact(record.getMessage())
        self._runtime.print_err(f"{at} {record.levelname} {record.name}: {escaped(message)}")
        if record.exc_info and self.tracebacks:
            trace = logging.Formatter().formatException(record.exc_info)
            self._runtime.print_err("\n".join(escaped(line) for line in self._redact(trace).splitlines()))


@contextmanager
def logs_of(runtime: CommandRuntime, redact: Callable[[str], str]) -> Iterator[None]:
    """Print what the package logs during one command, as far as it is asked for."""
    handler, level = _Handler(runtime, redact), _ROOT.level
    _ROOT.addHandler(handler)
    if handler.tracebacks:
        _ROOT.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        _ROOT.removeHandler(handler)
        _ROOT.setLevel(level)


def set_verbosity(name: str) -> None:
    """Set the level of logs. Raises DiagnosticError for an unknown one."""
    if name not in LEVELS:
        summary = f"invalid DBC_IAC_LOG: {name[:40]}"
        raise failure("log-level", summary, remedy=f"Set it to {_choices()}.")
    for handler in _ROOT.handlers:
        if isinstance(handler, _Handler):
            handler.threshold = LEVELS[name]
            _ROOT.setLevel(min(LEVELS[name], logging.DEBUG if handler.tracebacks else _SILENT))


def _choices() -> str:
    *first, last = LEVELS
    return f"{', '.join(first)} or {last}"
