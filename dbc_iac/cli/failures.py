"""Problems and exceptions at the end of a command. Imported when there is one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from dbc_iac.api.wire_types import UnsafeWireValue
from dbc_iac.cli.runtime import INTERRUPTED
from dbc_iac.diagnostics import REPORT, Diagnostic, DiagnosticError, ExitCode, Severity, place_of
from dbc_iac.views.text.diagnostics import diagnostics_json, render
from dbc_iac.views.text.lines import json_text

if TYPE_CHECKING:
    from dbc_iac.cli.app import App

_LOG = logging.getLogger("dbc_iac.cli")


def problems_text(app: App, diagnostics: Iterable[Diagnostic]) -> str:
    """Problems for standard error; with --json as JSON."""
    if app.json:
        return json_text({"diagnostics": diagnostics_json(diagnostics)})
    return render(diagnostics, app.sources, app.runtime.screen(app.runtime.err))


def end_of(app: App, error: BaseException) -> ExitCode:
    """Report the exception that ended a command. Raises those that end the process, such as SystemExit."""
    if isinstance(error, asyncio.CancelledError):
        app.runtime.print_err(INTERRUPTED)
        return ExitCode.INTERRUPTED
    if isinstance(error, ExceptionGroup):  # of an apply's branches
        problems, rest = error.split(DiagnosticError)
        if problems is None or rest is not None:
            return _bug(app, rest or error)
        joined = DiagnosticError(*(d for one in _single(problems) for d in one.diagnostics))
        app.report(dict.fromkeys(joined.diagnostics))
        return joined.exit_code
    if isinstance(error, UnsafeWireValue):  # of a node or an altered state: manifests are checked before
        unsafe = unsafe_value(error)
        app.report([unsafe])
        return unsafe.exit_code
    if isinstance(error, Exception):
        return _bug(app, error)
    raise error


def unsafe_value(error: UnsafeWireValue) -> Diagnostic:
    """The diagnostic of a value that was refused before it was sent."""
    return Diagnostic("unsafe-value", Severity.ERROR, str(error), "Nothing was sent.", "Correct the value.")


def _single(group: ExceptionGroup[DiagnosticError]) -> Iterator[DiagnosticError]:
    for error in group.exceptions:
        if isinstance(error, ExceptionGroup):
            yield from _single(error)
        else:
            yield error


def _bug(app: App, error: Exception) -> ExitCode:
    """Report an unexpected exception. Its message is not printed: it could contain anything."""
    app.report(
        [
            Diagnostic(
                "bug",
                Severity.ERROR,
                "this is a bug in dbc-iac",
                f"Cause: {place_of(error)}. Completed changes are in the state and its journal.",
                REPORT,
                exit_code=ExitCode.BUG,
            )
        ]
    )
    _LOG.debug("unexpected exception", exc_info=error)
    return ExitCode.BUG
