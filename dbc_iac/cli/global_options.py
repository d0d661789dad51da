"""The global options: before the command, where `--help` shows them, and after it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource
from msgspec.structs import replace

from dbc_iac.cli.app import App
from dbc_iac.cli.completions import environments
from dbc_iac.cli.logs import start_logs
from dbc_iac.manifest.header import check_stack_name
from dbc_iac.manifest.trust import as_untrusted


def _option(*names: str, apply: Callable[[App, Any], None], **settings: Any) -> click.Option:
    """An option whose value, if it is given, is applied to the App."""

    def callback(context: click.Context, parameter: click.Parameter, value: Any) -> None:
        given = context.get_parameter_source(str(parameter.name)) is not ParameterSource.DEFAULT
        if given and value is not None:
            apply(context.ensure_object(App), value)

    return click.Option([*names], callback=callback, expose_value=False, **settings)


def _set_directory(app: App, value: Path) -> None:
    app.directory = value


def _set_environment(app: App, value: str) -> None:
    app.environment = value


def _set_stack(app: App, value: str) -> None:
    check_stack_name(value)
    app.stack = value


def _add_variables(app: App, value: tuple[str, ...]) -> None:
    for text in value:
        name, equals, given = text.partition("=")
        if not equals:
            raise click.UsageError(f"--var {text}: expected NAME=VALUE")
        app.variables[name] = given


def _add_files(app: App, value: tuple[Path, ...]) -> None:
    app.variable_files += value


def _refuse_programs(app: App, value: bool) -> None:
    app.runtime = replace(app.runtime, environ=as_untrusted(app.runtime.environ))


def _set_verbosity(app: App, value: int) -> None:
    start_logs(app, "info" if value == 1 else "debug")


def _without_colours(app: App, value: bool) -> None:
    app.runtime = replace(app.runtime, environ={**app.runtime.environ, "NO_COLOR": "1"})


def _set_input(app: App, value: bool) -> None:
    app.runtime = replace(app.runtime, terminal=app.runtime.terminal and value)


GLOBAL_OPTIONS = (
    _option(
        "-C", "directory", type=click.Path(path_type=Path, file_okay=False), apply=_set_directory,
        help="Project directory; default: the current one.",
    ),
    _option(
        "-e", "--environment", shell_complete=environments, apply=_set_environment,
        help="Environment whose variable files are used, such as prod.",
    ),
    _option(
        "--stack", apply=_set_stack,
        help="Name of the stack: one state, one lock; default: the environment's, else main.",
    ),
    _option(
        "--var", "variables", multiple=True, metavar="NAME=VALUE", apply=_add_variables, help="Value of a variable.",
    ),
    _option(
        "--var-file", "variable_files", multiple=True, type=click.Path(path_type=Path, dir_okay=False),
        apply=_add_files, help="YAML file of variables.",
    ),
    _option(
        "--no-exec", is_flag=True, apply=_refuse_programs,
        help="For a project that was not reviewed: run no programs, read no secrets, reach no network.",
    ),
    _option("--no-color", is_flag=True, apply=_without_colours, help="Print without colours, as with NO_COLOR."),
    _option("--input", type=bool, metavar="BOOLEAN", apply=_set_input, help="false: never ask; use --yes to approve."),
    _option(
        "-v", "--verbose", count=True, apply=_set_verbosity,
        help="Log decisions to standard error; -vv: requests to nodes, too.",
    ),
)  # fmt: skip
