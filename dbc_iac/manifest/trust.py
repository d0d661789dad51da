"""Untrusted projects: without a review, a project must not run programs, read secrets or reach the network."""

from __future__ import annotations

from collections.abc import Mapping

from dbc_iac.diagnostics import ExitCode, failure

UNTRUSTED = "DBC_IAC_UNTRUSTED"


def as_untrusted(environ: Mapping[str, str]) -> Mapping[str, str]:
    """The environment with the mark of an untrusted project."""
    return {**environ, UNTRUSTED: "1"}


def refuse_untrusted(environ: Mapping[str, str], *action: object) -> None:
    """Require a trusted project. `action`: its words, such as `read a secret`. Raises DiagnosticError."""
    if environ.get(UNTRUSTED, "").lower() not in {"", "0", "false"}:
        what = " ".join(map(str, action))
        raise failure(
            "untrusted",
            f"an untrusted project may not {what}",
            f"--no-exec or {UNTRUSTED} is set: no programs, no secrets, no network.",
            "Use `validate` or `plan --refresh=false`, or review the project and run it without --no-exec.",
            exit_code=ExitCode.REFUSED,
        )
