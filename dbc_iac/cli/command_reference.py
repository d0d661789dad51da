"""The page of commands in docs/, made from the commands themselves."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import click

from dbc_iac.cli.command_examples import EXAMPLES


def commands(root: click.Command) -> Iterator[str]:
    """The lines of the page."""
    yield "# Commands"
    yield ""
    yield "Made from the commands by `dbc-iac schema --docs docs`. The global options stand before the command:"
    yield ""
    context = click.Context(root, info_name="dbc-iac", **root.context_settings)
    yield from _options(context, root)
    yield from _below(root, context, [])


def _below(command: click.Command, context: click.Context, path: list[str]) -> Iterator[str]:
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None  # noqa: S101 - it was listed
            yield from _below(inner, click.Context(inner, info_name=name, parent=context), [*path, name])
        return
    words = " ".join(path)
    yield ""
    yield f"## {words}"
    yield ""
    usage = " ".join(command.collect_usage_pieces(context)).removeprefix("[OPTIONS]").strip()
    yield f"`dbc-iac {words} [OPTIONS] {usage}`".replace(" `", "`")
    yield ""
    yield inspect.cleandoc((command.help or "").replace("\b", ""))
    yield ""
    yield from _options(context, command)
    if path and words in EXAMPLES:
        yield ""
        yield from (f"    dbc-iac {line}" for line in EXAMPLES[words])


def _options(context: click.Context, command: click.Command) -> Iterator[str]:
    yield "| option | |"
    yield "|---|---|"
    for option in command.get_params(context):
        record = option.get_help_record(context)
        if record is not None:
            names, said = (part.replace("|", "\\|").replace("\n", " ") for part in record)
            yield f"| `{names}` | {' '.join(said.split())} |"
