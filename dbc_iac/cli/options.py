"""Options that several commands share. Related options are passed to a command as one object."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import click
from msgspec import Struct

from dbc_iac.views.wording import Detail

F = TypeVar("F", bound=Callable[..., Any])
FILE = click.Path(path_type=Path, dir_okay=False)


class Number(click.FloatRange):
    """A finite number: `nan` is neither below nor above any limit, and would pass every range."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


class Seconds(Number):
    """A time in seconds: `60`, `60s`, `5m` or `1h`."""

    name = "time, such as 60, 60s, 5m or 1h"

    def __init__(self) -> None:
        super().__init__(min=0)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        text = str(value)
        if (unit := {"s": 1, "m": 60, "h": 3600}.get(text[-1:])) is not None:
            with suppress(ValueError):
                value = unit * float(text[:-1])
        return super().convert(value, param, ctx)


class WholeNumber(click.IntRange):
    """A whole number within a range."""

    name = "whole number"


SECONDS = Seconds()
PERCENT = WholeNumber(0, 100)


def _set_json(context: click.Context, option: click.Parameter, value: bool) -> None:
    context.obj.json = value


def _json_option(text: str) -> Callable[[F], F]:
    return click.option("--json", is_flag=True, expose_value=False, callback=_set_json, help=text)


json_option = _json_option("Print the result and all problems as JSON.")
json_problems_option = _json_option("Print all problems as JSON; this command has no result.")
fleet_option = click.option(
    "--fleet", type=FILE, default="fleet.yaml", show_default=True, help="The Fleet file: sources and stacks."
)
lock_option = click.option(
    "--lock-timeout", type=SECONDS, default=0.0, metavar="SECONDS",
    help="Wait up to this long for the state lock; default: not at all.",
)  # fmt: skip
yes_option = click.option("--yes", is_flag=True, help="Do not ask for approval. Required without a terminal.")


def grouped(name: str, kind: type[Any], *options: Callable[[Any], Any]) -> Callable[[F], F]:
    """A decorator that adds options to a command, and passes their values as one `name`, a struct `kind`."""

    def decorate(command: F) -> F:
        @functools.wraps(command)
        def wrapper(*arguments: Any, **values: Any) -> Any:
            values[name] = kind(**{option: values.pop(option) for option in names})
            return command(*arguments, **values)

        before = len(getattr(wrapper, "__click_params__", ()))
        for option in reversed(options):
            option(wrapper)
        names = [parameter.name for parameter in wrapper.__click_params__[before:]]  # type: ignore[attr-defined]
        return wrapper  # type: ignore[return-value]

    return decorate


class PlanOutput(Struct, frozen=True):
    """The output formats of a plan."""

    detail: Detail = Detail.GROUPED
    markdown: Path | None = None
    html: Path | None = None

    @property
    def files(self) -> dict[str, Path]:
        """The files to write, by option."""
        given = {"--markdown": self.markdown, "--html": self.html}
        return {option: file for option, file in given.items() if file is not None}


plan_output_options = grouped(
    "output",
    PlanOutput,
    click.option(
        "--full",
        "detail",
        is_flag=True,
        help="Show every resource; do not group equal ones.",
        callback=lambda _, __, full: Detail.FULL if full else Detail.GROUPED,
    ),
    click.option("--markdown", type=FILE, help="Also write the plan as Markdown, for a pull request."),
    click.option("--html", type=FILE, help="Also write the plan as a self-contained HTML page."),
)


class ApplyArguments(Struct, frozen=True):
    """Limits of waiting, and the files for events and the report."""

    wait_timeout: float | None = None
    no_wait: bool = False
    settle: bool = False
    events: str | None = None
    report: Path | None = None

    @property
    def files(self) -> dict[str, Path]:
        """The files to write, by option."""
        events = None if self.events in {None, "-"} else Path(str(self.events))
        given = {"--events": events, "--report": self.report}
        return {option: file for option, file in given.items() if file is not None}


apply_options = grouped(
    "arguments",
    ApplyArguments,
    click.option("--wait-timeout", type=SECONDS, metavar="SECONDS", help="Maximum time to wait for each change."),
    click.option("--no-wait", is_flag=True, help="Do not wait for creations to finish; the next apply continues them."),
    click.option(
        "--settle", is_flag=True,
        help="Boot a powered-off VM if only a boot can resolve its pending operation.",
    ),
    click.option("--events", metavar="FILE|-", help="Write events as JSON lines; `-` for standard output."),
    click.option(
        "--report", type=FILE, help="Also write the report: Markdown (.md), JSON (.json) or text, by the file's name."
    ),
)  # fmt: skip
