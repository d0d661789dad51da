"""Trust in a project: before a review, it must not run programs, read secrets or reach the network.

The programs of a trusted one, hooks and secret programs, get an environment without the secrets of the run.
"""

from __future__ import annotations

from collections.abc import Mapping

from dbc_iac.diagnostics import ExitCode, failure

UNTRUSTED = "DBC_IAC_UNTRUSTED"
_ALWAYS = ("PATH", "HOME", "LANG")
NAMED = "DBC_IAC_PASS_ENV"
"""Names of further variables, separated by commas. Set by the user's environment, not by the project."""


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


def program_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """PATH, HOME, LANG, and the variables that DBC_IAC_PASS_ENV names."""
    names = (*_ALWAYS, *(name.strip() for name in environ.get(NAMED, "").split(",")))
    return {name: environ[name] for name in names if name in environ}
