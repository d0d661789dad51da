"""Options that several commands share."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from dbc_iac.cli.workspace import Workspace


def addresses(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """What a shell completes an address with: the project's documents and what is in its state."""
    return _completed(
        context, incomplete, lambda workspace: {*workspace.inventory.resources, *workspace.recorded().bindings}
    )


def environments(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """What a shell completes the name of an environment with."""
    return _completed(context, incomplete, lambda workspace: set(workspace.loaded.project.environments))


def _completed(context: click.Context, incomplete: str, known: Callable[[Workspace], set[str]]) -> list[str]:
    """The words of the project that begin so; none where it is broken."""
    from dbc_iac.cli.app import App
    from dbc_iac.cli.workspace import Workspace

    given, app = context.find_root().params, context.find_object(App)
    try:
        assert app is not None  # noqa: S101 - every command has one
        app.directory = given.get("directory") or app.directory
        app.environment, app.stack = given.get("environment") or "", given.get("stack") or app.stack
        words = known(Workspace.load(app))
    except Exception:  # a shell that waits for words has no place for problems
        return []
    return sorted(word for word in words if word.startswith(incomplete))


class Number(click.FloatRange):
    """A finite number: `nan` is neither below nor above any limit, and would pass every range."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


SECONDS = Number(min=0)
PERCENT = click.IntRange(0, 100)

json_option = click.option("--json", "as_json", is_flag=True, help="Print the result and all problems as JSON.")
target_option = click.option(
    "--target",
    "targets",
    multiple=True,
    metavar="ADDRESS",
    shell_complete=addresses,
    help="Only this, and what it needs.",
)
lock_option = click.option(
    "--lock-timeout",
    type=SECONDS,
    default=0.0,
    metavar="SECONDS",
    help="Wait so long where another run has the state; default: not at all.",
)
yes_option = click.option("--yes", is_flag=True, help="Do not ask. Required without a terminal.")


def choice_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """How far an apply goes: the same for apply and destroy."""
    waiting = click.option(
        "--wait-timeout", type=SECONDS, metavar="SECONDS", help="Wait no longer than this for one effect."
    )
    leaving = click.option(
        "--no-wait", is_flag=True, help="Do not wait for what has been asked to be created: the next apply goes on."
    )
    proving = click.option(
        "--settle", is_flag=True, help="Boot a VM that is to stay off, where only that proves what became of a call."
    )
    return waiting(leaving(proving(command)))
