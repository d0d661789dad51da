"""Options of the commands that plan: the selected resources, the disabled guardrails, and the output."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from dbc_iac.cli.completions import addresses
from dbc_iac.cli.options import PERCENT, F, grouped, json_option, lock_option, plan_output_options
from dbc_iac.plan import PlanOptions


def _addresses(option: str, name: str, description: str) -> Callable[[Any], Any]:
    return click.option(
        option, name, multiple=True, metavar="ADDRESS", help=description, shell_complete=addresses,
        callback=lambda _, __, value: frozenset(value),
    )  # fmt: skip


selection_options = grouped(
    "selection",
    PlanOptions,
    _addresses("--target", "targets", "Only this resource, its dependencies, and what is deleted with it; repeatable."),
    _addresses(
        "--exclude", "excludes", "Exclude this resource, its dependents, and deletions of its dependencies; repeatable."
    ),
    _addresses("--replace", "replace", "Replace this resource; repeatable."),
    click.option(
        "--forget-expired", is_flag=True,
        help="Remove from the state the resources of machines that are no longer rented.",
    ),
    _addresses(
        "--destroy-identity", "destroy_identity", "Delete the on-chain identity of this bare-metal server; repeatable."
    ),
    _addresses("--unprotect", "unprotect", "Delete or replace this resource despite preventDestroy; repeatable."),
    click.option("--allow-empty", is_flag=True, help="Allow manifests without resources, which delete everything."),
    click.option(
        "--max-removals", type=PERCENT, metavar="PERCENT",
        help="Maximum share of resources that may be removed, in percent; default: the project's.",
    ),
)  # fmt: skip


def planning_options(*more: Callable[[Any], Any]) -> Callable[[F], F]:
    """Options of a command that plans. `more`: options of its own, between the output and the lock."""

    def decorate(command: F) -> F:
        for option in (json_option, lock_option, *reversed(more), plan_output_options, selection_options):
            command = option(command)
        return command

    return decorate
