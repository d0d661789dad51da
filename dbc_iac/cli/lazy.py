"""Commands that are imported when they are used, so that the others start fast; and the examples of all of them."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module

import click

OPS = ("api", "deeplink", "disk", "image", "network", "node", "server", "snapshot", "vm", "wallet")
"""Each is `command` in the module of that name in `dbc_iac.cli.ops`."""
_MODULES = {
    **{name: (f"dbc_iac.cli.ops.{name}", "command") for name in OPS},
    "comment": ("dbc_iac.cli.pr_comment", "command"),
    "completion": ("dbc_iac.cli.completion", "command"),
    "demo": ("dbc_iac.cli.emulator", "demo"),
    "emulator": ("dbc_iac.cli.emulator", "emulator"),
    "fmt": ("dbc_iac.cli.formatting", "command"),
    "graph": ("dbc_iac.cli.graphs", "command"),
    "signing-key": ("dbc_iac.cli.plan_files", "command"),
    "stack": ("dbc_iac.cli.stacks", "command"),
    "output": ("dbc_iac.cli.outputs", "command"),
}
"""Module and name of each."""


class LazyGroup(click.Group):
    """A group that has these commands, too, and whose help shows examples."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *_MODULES})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in _MODULES:
            module, attribute = _MODULES[cmd_name]
            found: click.Command | None = getattr(import_module(module), attribute)
        else:
            found = super().get_command(ctx, cmd_name)
        if found is not None:
            _with_examples(found, cmd_name)
        return found


def _with_examples(command: click.Command, path: str) -> None:
    """Examples below the help of a command; below that of a group one of each in it."""
    from dbc_iac.cli.command_examples import EXAMPLES

    lines = EXAMPLES.get(path, ())
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            _with_examples(inner, f"{path} {name}")
        lines = tuple(EXAMPLES[f"{path} {name}"][0] for name in command.list_commands(click.Context(command)))
    command.epilog = epilog(lines)


def epilog(lines: Iterable[str]) -> str:
    """Examples as click shows them: not folded."""
    return "\n".join(("\b", "Examples:", *(f"  dbc-iac {line}" for line in lines)))
