"""The stacks of a project: which there are, and what is another one's already."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from dbc_iac.cli.app import App
from dbc_iac.cli.options import json_option
from dbc_iac.diagnostics import Diagnostic, DiagnosticError, Diagnostics, ExitCode, Severity
from dbc_iac.state.backends.backend import code_of

if TYPE_CHECKING:
    from dbc_iac.cli.workspace import Workspace
    from dbc_iac.plan import Plan
    from dbc_iac.plan.decide.ownership import Object
    from dbc_iac.state import State


@click.group("stack")
def command() -> None:
    """Stacks: each has one state, one lock, and its own variables."""


@command.command("list")
@json_option
@click.pass_obj
def stack_list(app: App, as_json: bool) -> None:
    """List the stacks that have a state, with its serial and how many resources it knows."""
    from dbc_iac.cli.workspace import Workspace
    from dbc_iac.views.text.tables import table

    app.json = as_json
    workspace = Workspace.load(app)
    names = _names(workspace)
    if names is None:
        raise DiagnosticError(
            Diagnostic(
                "not-listed",
                Severity.ERROR,
                f"{workspace.place.place} cannot be asked for its stacks",
                remedy="Terraform's HTTP protocol has no way to. Ask for each with --stack.",
                exit_code=ExitCode.ERROR,
            )
        )
    rows: list[dict[str, object]] = []
    unread = Diagnostics()
    for name in names:
        try:
            state = _state(workspace, name)
        except DiagnosticError as error:  # of another stack: the others are told all the same
            unread.extend(replace(d, summary=f"stack {name}: {d.summary}") for d in error.diagnostics)
            continue
        if state is not None:
            rows.append({"stack": name, "serial": state.serial, "resources": len(state.bindings)})
    lines = table(("stack", "serial", "resources"), [tuple(row.values()) for row in rows])
    app.show(lines + "\n", {"stacks": rows})
    unread.raise_errors()


def claimed_elsewhere(workspace: Workspace, plan: Plan) -> Iterator[Diagnostic]:
    """What this stack would adopt, and another one has. Where stacks cannot be listed nothing is told."""
    from dbc_iac.plan.decide.ownership import object_of
    from dbc_iac.plan.model import Action

    adopted = [change for change in plan.changes if change.action is Action.ADOPT and change.id]
    held = held_elsewhere(workspace) if adopted else {}
    ids = {change.address: change.id for change in plan.changes}
    for change in adopted:
        target, parent_id = str(change.route.get("target", "")), ids.get(change.parent, "")
        if name := held.get(object_of(change.kind, change.id, target, parent_id)):
            resource = workspace.inventory.resources[change.address]
            yield resource.problem(
                "of-another-stack",
                "",
                f"{change.id} is the stack {name}'s already",
                detail="What two stacks have, each would change and delete under the other.",
                remedy=f"Declare it in one of them, or take it from {name} first: --stack {name} state rm.",
                exit_code=ExitCode.REFUSED,
            )


def held_elsewhere(workspace: Workspace) -> dict[Object, str]:
    """The objects that other stacks have, and which has each. Where stacks cannot be listed there are none."""
    from dbc_iac.plan.decide.ownership import objects

    names = [name for name in _names(workspace) or () if name != workspace.app.stack]
    states = {name: state for name in names if (state := _state(workspace, name)) is not None}
    return {one: name for name, state in states.items() for one in objects(state)}


def _names(workspace: Workspace) -> list[str] | None:
    try:
        return workspace.place.stacks()
    except OSError as error:
        summary = f"{workspace.place.place} cannot be asked for its stacks ({error.strerror})"
        raise DiagnosticError(
            Diagnostic("state-unreadable", Severity.ERROR, summary, exit_code=code_of(error))
        ) from None


def _state(workspace: Workspace, stack: str) -> State | None:
    """The state of another stack, only read. It may be another project's where they share a place."""
    state = workspace.store_of(stack).read()
    return state if state is not None and state.uid == workspace.loaded.project.uid else None
