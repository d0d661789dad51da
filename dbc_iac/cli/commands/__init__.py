"""The `dbc-iac` command: the global options, before and after the command, and a module for each command.

A module is imported when its command is used, so that the others start fast. Every command gets examples, the global
options, and the names that users of other tools know.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource
from msgspec.structs import replace

from dbc_iac import __version__
from dbc_iac.cli.app import App
from dbc_iac.cli.command_examples import EXAMPLES
from dbc_iac.cli.completions import environments, stacks
from dbc_iac.cli.habits import familiar, unknown_command
from dbc_iac.cli.logs import start_logs
from dbc_iac.manifest.header import check_stack_name
from dbc_iac.manifest.trust import as_untrusted

_OF_OBJECTS = ("disk", "image", "network", "node", "server", "snapshot", "vm")
"""Operations commands on objects that have manifests."""
OPS = ("api", "deeplink", *_OF_OBJECTS, "wallet")
"""The operations commands."""
_COMMANDS = (
    "apply", "comment", "completion", "console", "controller", "demo", "destroy", "drift", "emulator", "explain", "fmt",
    "graph", "import", "init", "orphans", "output", "plan", "schema", "show", "signing-key", "stack", "state",
    "validate",
)  # fmt: skip
_MODULES = {
    **{name: f"dbc_iac.cli.ops.{name}" for name in OPS},
    **{name: f"dbc_iac.cli.commands.{name.replace('-', '_')}" for name in _COMMANDS},
    "import": "dbc_iac.cli.commands.import_",
}
_EXAMPLES = "\b\nExamples:"
"""The head of examples, in click's notation for text that is not wrapped."""


def _apply(context: click.Context, option: click.Parameter, value: Any) -> None:
    """Apply an option that was given to the App."""
    if value is None or context.get_parameter_source(str(option.name)) is ParameterSource.DEFAULT:
        return
    app = context.ensure_object(App)
    match option.name:
        case "directory":
            app.directory = value
        case "environment":
            app.environment = value
        case "stack":
            check_stack_name(value)
            app.stack = value
        case "variables":
            for text in value:
                name, equals, given = text.partition("=")
                if not equals:
                    raise click.UsageError(f"--var {text}: expected NAME=VALUE")
                app.variables[name] = given
        case "variable_files":
            app.variable_files += value
        case "no_exec":
            app.runtime = replace(app.runtime, environ=as_untrusted(app.runtime.environ))
        case "no_color":
            app.runtime = replace(app.runtime, environ={**app.runtime.environ, "NO_COLOR": "1"})
        case "input":
            app.runtime = replace(app.runtime, terminal=app.runtime.terminal and value)
        case "verbose":
            start_logs(app, "info" if value == 1 else "debug")


_option = partial(click.Option, callback=_apply, expose_value=False)

_GLOBAL_OPTIONS = (
    _option(
        ["-C", "directory"], type=click.Path(path_type=Path, file_okay=False),
        help="Project directory; default: the current one.",
    ),
    _option(
        ["-e", "--environment"], shell_complete=environments,
        help="Environment whose variable files are used, such as prod.",
    ),
    _option(
        ["--stack"], shell_complete=stacks,
        help="Name of the stack: one state, one lock; default: the environment's, else main.",
    ),
    _option(["--var", "variables"], multiple=True, metavar="NAME=VALUE", help="Value of a variable."),
    _option(
        ["--var-file", "variable_files"], multiple=True, type=click.Path(path_type=Path, dir_okay=False),
        help="YAML file of variables.",
    ),
    _option(
        ["--no-exec"], is_flag=True,
        help="For a project that was not reviewed: run no programs, read no secrets, reach no network.",
    ),
    _option(["--no-color"], is_flag=True, help="Print without colours, as with NO_COLOR."),
    _option(["--input"], type=bool, metavar="BOOLEAN", help="false: never ask; use --yes to approve."),
    _option(
        ["-v", "--verbose"], count=True,
        help="Log decisions to standard error; -vv: also requests, files read and the state. Default: DBC_IAC_LOG,"
        " such as debug.",
    ),
)  # fmt: skip


class LazyGroup(click.Group):
    """A group whose commands are in separate modules. `path`: the words of the group, such as `state`."""

    def __init__(self, *, modules: Mapping[str, str], path: str = "", **settings: object) -> None:
        super().__init__(**settings)  # type: ignore[arg-type]
        self._modules = modules
        self._path = path

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(self._modules)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The `command` of the module of that name."""
        if cmd_name not in self._modules:
            return None
        found: click.Command = import_module(self._modules[cmd_name]).command
        if found.epilog is None:
            _complete(found, f"{self._path} {cmd_name}".strip())
        return found

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        own = next((n for n, word in enumerate(args) if word in self._modules), len(args))
        return super().parse_args(ctx, [*_translated(self._path, self, args[:own]), *args[own:]])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if not self._path and args[0] in {"help", "version"}:
            args = ["--version"] if args[0] == "version" else [*args[1:], "--help"]
            if args[0].startswith("-"):
                self.parse_args(ctx, args)  # prints, and ends the command
        if args[0] not in self._modules and not ctx.resilient_parsing:
            raise unknown_command(self._path, args, self._modules, manifests=not self._path)
        name, command, rest = super().resolve_command(ctx, args)
        inner = command.commands if type(command) is click.Group else None
        if inner is not None and rest and rest[0] not in inner and rest[0][0] != "-" and not ctx.resilient_parsing:
            raise unknown_command(str(name), rest, inner, manifests=name in _OF_OBJECTS)
        lazy = isinstance(command, LazyGroup)  # reads its arguments itself, with the options of its commands
        if command is not None and not lazy and not _passes_arguments_on(command, rest):
            rest = [*_translated(f"{self._path} {name}".strip(), command, rest)]
        return name, command, rest


def _translated(path: str, command: click.Command, words: Sequence[str]) -> Iterator[str]:
    """The words typed for a command, or for those of a group. An unknown option, or one with one dash, may be that of
    another tool."""
    commands = (command, *command.commands.values()) if isinstance(command, click.Group) else (command,)
    options = (p for one in commands for p in one.params if isinstance(p, click.Option))
    known = {name for option in options for name in option.opts}
    end = words.index("--") if "--" in words else len(words)
    for number, word in enumerate(words[:end], 1):
        long = word.startswith("--") and word.partition("=")[0] in known
        if long or not word.startswith("-") or word == "-":
            yield word
        else:
            yield from familiar(path, known, word, words[number:end])
    yield from words[end:]


def _complete(command: click.Command, path: str) -> None:
    """Add the examples of a command, and the global options; a group shows one example of each of its commands."""
    lines = EXAMPLES.get(path, ())
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            _complete(inner, f"{path} {name}")
        lines = tuple(EXAMPLES[f"{path} {name}"][0] for name in command.list_commands(click.Context(command)))
    elif not _passes_arguments_on(command):
        # Hidden, and as far as its own options leave their names free.
        taken = {name for parameter in command.params for name in (*parameter.opts, parameter.name)}
        for option in _GLOBAL_OPTIONS:
            if taken.isdisjoint((*option.opts, option.name)):
                command.params.append(hidden := copy.copy(option))
                hidden.hidden = True
    command.epilog = "\n".join((_EXAMPLES, *(f"  dbc-iac {line}" for line in lines)))


def _passes_arguments_on(command: click.Command, typed: Sequence[str] = ()) -> bool:
    """Whether a command, or the typed one of a group, gives its arguments to another program."""
    if isinstance(command, click.Group):
        inner = command.commands.get(typed[0]) if typed else None
        return inner is not None and _passes_arguments_on(inner)
    return any(parameter.type is click.UNPROCESSED for parameter in command.params)


@click.group(
    cls=LazyGroup,
    modules=_MODULES,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=f"""{_EXAMPLES}
  dbc-iac init --name lab
  dbc-iac plan
  dbc-iac -e prod --stack blue apply --yes
  dbc-iac -C infra drift --json""",
)
@click.version_option(__version__)
@click.pass_obj
def dbc_iac(app: App, /) -> None:
    """Declarative infrastructure on DeepBrainChain GPU machines.

    Write manifests, review the plan, apply it: `dbc-iac init`, `dbc-iac plan`, `dbc-iac apply`.
    """
    verbose = click.get_current_context().get_parameter_source("verbose")
    if verbose is ParameterSource.DEFAULT and (level := app.runtime.environ.get("DBC_IAC_LOG")):
        start_logs(app, level.lower())


dbc_iac.params = [*_GLOBAL_OPTIONS, *dbc_iac.params]
