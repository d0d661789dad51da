"""Groups that import a command when it is used, so that the others start fast; and the examples of every command."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import import_module

import click

from dbc_iac.cli.command_examples import EXAMPLES


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
        _add_examples(found, f"{self._path} {cmd_name}".strip())
        return found


def _add_examples(command: click.Command, path: str) -> None:
    """Add examples below the help of a command; a group shows one of each of its commands."""
    lines = EXAMPLES.get(path, ())
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            _add_examples(inner, f"{path} {name}")
        lines = tuple(EXAMPLES[f"{path} {name}"][0] for name in command.list_commands(click.Context(command)))
    command.epilog = epilog(lines)


def epilog(lines: Iterable[str]) -> str:
    """Examples in click's notation for text that is not wrapped."""
    return "\n".join(("\b", "Examples:", *(f"  dbc-iac {line}" for line in lines)))
