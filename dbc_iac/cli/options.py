"""Options that several commands share. Related options are passed to a command as one object."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from dbc_iac.cli.completions import addresses
from dbc_iac.views.grouping import Detail

if TYPE_CHECKING:
    from dbc_iac.plan import PlanOptions

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


json_option = click.option(
    "--json", is_flag=True, expose_value=False, callback=_set_json, help="Print the result and all problems as JSON."
)
fleet_option = click.option(
    "--fleet", type=FILE, default="fleet.yaml", show_default=True, help="The Fleet file: sources and stacks."
)
lock_option = click.option(
    "--lock-timeout", type=SECONDS, default=0.0, metavar="SECONDS",
    help="Wait up to this long for the state lock; default: not at all.",
)  # fmt: skip
yes_option = click.option("--yes", is_flag=True, help="Do not ask for approval. Required without a terminal.")


def _grouped(name: str, kind: type[Any], *options: Callable[[Any], Any]) -> Callable[[F], F]:
    """A decorator that adds options to a command, and passes their values as one `name`, a dataclass `kind`."""

    def decorate(command: F) -> F:
        @functools.wraps(command)
        def wrapper(*arguments: Any, **values: Any) -> Any:
            values[name] = kind(**{field.name: values.pop(field.name) for field in fields(kind)})
            return command(*arguments, **values)

        for option in reversed(options):
            option(wrapper)
        return wrapper  # type: ignore[return-value]

    return decorate


def _addresses(option: str, description: str, name: str | None = None) -> Callable[[Any], Any]:
    names = [option] if name is None else [option, name]
    return click.option(*names, multiple=True, metavar="ADDRESS", help=description, shell_complete=addresses)


@dataclass(frozen=True, slots=True)
class Selection:
    """The selected resources of a plan, and the disabled guardrails."""

    targets: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    replace: tuple[str, ...] = ()
    forget_expired: bool = False
    destroy_identity: tuple[str, ...] = ()
    unprotect: tuple[str, ...] = ()
    allow_empty: bool = False
    max_removals: int | None = None

    def plan_options(self, *, destroy: bool = False, offline: bool = False) -> PlanOptions:
        """The options of planning."""
        from dbc_iac.plan import PlanOptions

        return PlanOptions(
            destroy=destroy,
            targets=frozenset(self.targets),
            excludes=frozenset(self.exclude),
            offline=offline,
            forget_expired=self.forget_expired,
            replace=frozenset(self.replace),
            destroy_identity=frozenset(self.destroy_identity),
            unprotect=frozenset(self.unprotect),
            allow_empty=self.allow_empty,
            max_removals=self.max_removals,
        )


selection_options = _grouped(
    "selection",
    Selection,
    _addresses("--target", "Only this resource, its dependencies, and what is deleted with it; repeatable.", "targets"),
    _addresses("--exclude", "Exclude this resource, its dependents, and deletions of its dependencies; repeatable."),
    _addresses("--replace", "Replace this resource; repeatable."),
    click.option(
        "--forget-expired", is_flag=True,
        help="Remove from the state the resources of machines that are no longer rented.",
    ),
    _addresses("--destroy-identity", "Delete the on-chain identity of this bare-metal server; repeatable."),
    _addresses("--unprotect", "Delete or replace this resource despite preventDestroy; repeatable."),
    click.option("--allow-empty", is_flag=True, help="Allow manifests without resources, which delete everything."),
    click.option(
        "--max-removals", type=PERCENT, metavar="PERCENT",
        help="Maximum share of resources that may be removed, in percent; default: the project's.",
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class PlanOutput:
    """The output formats of a plan."""

    detail: Detail = Detail.GROUPED
    markdown: Path | None = None
    html: Path | None = None

    @property
    def files(self) -> dict[str, Path | None]:
        """The files to write, by option."""
        return {"--markdown": self.markdown, "--html": self.html}


plan_output_options = _grouped(
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


@dataclass(frozen=True, slots=True)
class ApplyArguments:
    """Limits of waiting, and the files for events and the report."""

    wait_timeout: float | None = None
    no_wait: bool = False
    settle: bool = False
    events: str | None = None
    report: Path | None = None

    @property
    def files(self) -> dict[str, Path | None]:
        """The files to write, by option."""
        events = None if self.events in {None, "-"} else Path(str(self.events))
        return {"--events": events, "--report": self.report}


apply_options = _grouped(
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
