"""Environment of the programs of a project, hooks and secret programs, without the secrets of the run."""

from __future__ import annotations

from collections.abc import Mapping

_ALWAYS = ("PATH", "HOME", "LANG")
NAMED = "DBC_IAC_PASS_ENV"
"""Names of further variables, separated by commas. Set by the user's environment, not by the project."""


def program_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """PATH, HOME, LANG, and the variables that DBC_IAC_PASS_ENV names."""
    names = (*_ALWAYS, *(name.strip() for name in environ.get(NAMED, "").split(",")))
    return {name: environ[name] for name in names if name in environ}
