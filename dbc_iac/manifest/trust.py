"""Whether the project may run programs, read secrets and reach the network: not where nobody has reviewed it yet."""

from __future__ import annotations

from collections.abc import Mapping

from dbc_iac.diagnostics import Diagnostic, DiagnosticError, ExitCode, Severity

UNTRUSTED = "DBC_IAC_UNTRUSTED"


def as_untrusted(environ: Mapping[str, str]) -> Mapping[str, str]:
    """The environment with the mark of an untrusted project."""
    return {**environ, UNTRUSTED: "1"}


def refuse_untrusted(environ: Mapping[str, str], what: str) -> None:
    """Raises DiagnosticError where the project is not trusted. `what` it would do: `read a secret`."""
    if environ.get(UNTRUSTED, "").lower() not in {"", "0", "false"}:
        raise DiagnosticError(
            Diagnostic(
                "untrusted",
                Severity.ERROR,
                f"an untrusted project may not {what}",
                f"--no-exec or {UNTRUSTED} is set: no programs, no secrets, no network.",
                "Use `validate`, or `plan --refresh=false`; review the project before you run it without --no-exec.",
                exit_code=ExitCode.REFUSED,
            )
        )
