"""From outcomes to values, or to problems that say whether something may have happened; and tables for people."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any, TypeVar

from dbc_iac.api.outcome import Done, NotSent, Outcome, Refused, Unknown
from dbc_iac.diagnostics import Diagnostic, DiagnosticError, ExitCode, Severity

T = TypeVar("T")
HIDDEN = "(hidden)"
_SECRET_KEYS = frozenset(
    {
        "login_password",
        "vnc_password",
        "node_private_key",
        "ipmi_username",
        "ipmi_password",
        "device_password",
        "deeplink_device_password",
        "session_id",
        "session_id_sign",
        "sign",
    }
)


def seen(outcome: Outcome[T], what: str) -> T:
    """The value of a read. Raises DiagnosticError."""
    return _value(outcome, what, "Try again; nothing was changed.", ExitCode.ERROR)


def done(outcome: Outcome[T], what: str) -> T:
    """The value of a call that changes something. A missing answer is told as what it is: not known."""
    remedy = "It may have been carried out, or be so later: look before you do it again."
    return _value(outcome, what, remedy, ExitCode.PARTIAL)


def _value(outcome: Outcome[T], what: str, remedy: str, unknown: ExitCode) -> T:
    match outcome:
        case Done(value):
            return value
        case Refused(message=message, authority=authority):
            code = ExitCode.AUTHORISATION if authority else ExitCode.ERROR
            raise problem("refused", f"{what}: the node refused it: {message}", "See what the message says.", code)
        case NotSent(message=message):
            raise problem("not-sent", f"{what}: nothing was sent: {message}", "Is the client node running?")
        case Unknown(message=message):
            raise problem("unknown-outcome", f"{what}: no certain answer: {message}", remedy, unknown)
    raise AssertionError("every outcome is one of these")


def problem(code: str, summary: str, remedy: str, exit_code: ExitCode = ExitCode.ERROR) -> DiagnosticError:
    return DiagnosticError(Diagnostic(code, Severity.ERROR, summary, remedy=remedy, exit_code=exit_code))


def table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns as wide as their widest cell, two spaces apart; the last one is not padded."""
    if not rows:
        return "none"
    cells = [list(heads), *([_cell(c) for c in row] for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(heads))]
    lines = ("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in cells)
    return "\n".join(lines)


def _cell(value: object) -> str:
    if value is None or value == "":
        return "-"
    text = ", ".join(str(v) for v in value) if isinstance(value, list | tuple) else str(value)
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def gib(size: Fraction | None) -> str:
    """A size as manifests write it; what is not whole as a rounded number."""
    return "?" if size is None else f"{float(size):.6g}Gi"


def masked(value: Any) -> Any:
    """A raw answer with its secrets hidden."""
    if isinstance(value, dict):
        return {k: HIDDEN if k in _SECRET_KEYS and v else masked(v) for k, v in value.items()}
    return [masked(v) for v in value] if isinstance(value, list) else value
