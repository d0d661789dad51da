"""Passwords from the environment, from a file, or typed. Never from arguments, which other users can read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from dbc_iac.cli.app import App
from dbc_iac.diagnostics import failure
from dbc_iac.files.reading import read_given
from dbc_iac.manifest.secrets import read_secret
from dbc_iac.secret import SecretText

F = TypeVar("F", bound=Callable[..., Any])


def password_options(command: F) -> F:
    """Add --password-env and --password-file to a command."""
    command = click.option("--password-file", default="", metavar="FILE", help="Read the new password from a file.")(
        command
    )
    return click.option(
        "--password-env",
        default="",
        metavar="NAME",
        help="Read the new password from an environment variable; default: ask.",
    )(command)


def secret_from_options(app: App, variable: str, file: str) -> SecretText:
    """Secret from an environment variable or a file. Raises DiagnosticError."""
    if file:
        return SecretText(read_secret(app.directory / file, file, read_given))
    if not app.runtime.environ.get(variable):
        what = "empty" if variable in app.runtime.environ else "not set"
        summary = f"environment variable {variable} is {what}"
        raise failure("secret-missing", summary, remedy="Set it, or use another variable.")
    return SecretText(app.runtime.environ[variable])


def password_from_options(app: App, variable: str, file: str) -> SecretText:
    """Password from the options, or asked for twice. Raises DiagnosticError without a terminal."""
    if variable and file:
        raise click.UsageError("--password-env and --password-file exclude each other")
    if variable or file:
        return secret_from_options(app, variable, file)
    if not app.runtime.terminal:
        raise failure(
            "secret-missing", "no terminal to ask for the password", remedy="Use --password-env or --password-file."
        )
    return SecretText(click.prompt("New password", hide_input=True, confirmation_prompt=True, type=str))
