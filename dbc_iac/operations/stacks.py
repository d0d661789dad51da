"""The stacks of a project, and the objects that they manage."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from dbc_iac.diagnostics import Diagnostic, DiagnosticError, Diagnostics, ExitCode, Severity, failure
from dbc_iac.plan import Action, Plan
from dbc_iac.plan.decide.ownership import Object, object_of, objects
from dbc_iac.state.backends.backend import code_of
from dbc_iac.views.wording import some

if TYPE_CHECKING:
    from dbc_iac.operations.project import Project
    from dbc_iac.state import State


class StackSummary(Struct, frozen=True):
    """A stack that has a state. `resources` counts the bindings."""

    name: str
    serial: int
    resources: int


def list_stacks(project: Project) -> tuple[list[StackSummary], Diagnostics]:
    """The stacks of the project that have a state, and problems of unreadable ones. Raises DiagnosticError."""
    names = _names(project)
    if names is None:
        raise failure(
            "not-listed",
            f"cannot list the stacks of {project.store.backend.place}",
            "Terraform's HTTP protocol has no request for it.",
            "Name each stack with --stack.",
            exit_code=ExitCode.ERROR,
        )
    found: list[StackSummary] = []
    problems = Diagnostics()
    for name in names:
        try:
            state = _state(project, name)
        except DiagnosticError as error:
            problems.extend(replace(d, summary=f"stack {name}: {d.summary}") for d in error.diagnostics)
            continue
        if state is not None:
            found.append(StackSummary(name, state.serial, len(state.bindings)))
    return found, problems


def new_stack(project: Project, state: State) -> Iterator[Diagnostic]:
    """A warning for a stack that has no state, as others of the project do, and that no environment names."""
    if state.lineage or project.stack in {e.stack for e in project.loaded.project.environments.values()}:
        return
    others = [name for name in _names(project) or () if name != project.stack]
    if not others:
        return
    close = difflib.get_close_matches(project.stack, others, 1)
    likely = close[0] if close else others[0] if len(others) == 1 else ""
    yield Diagnostic(
        "new-stack",
        Severity.WARNING,
        f"stack {project.stack} is new: it has no state",
        f"Stacks with a state: {some(others)}.",
        f"Did you mean {likely}? Otherwise run `dbc-iac apply` to create the stack."
        if likely
        else "Use --stack with one of these, or run `dbc-iac apply` to create the stack.",
        exit_code=ExitCode.OK,
    )


def claimed_elsewhere(project: Project, plan: Plan) -> Iterator[Diagnostic]:
    """An error for each object that a plan adopts, and another stack manages. None if stacks cannot be listed."""
    adopted = [change for change in plan.changes if change.action is Action.ADOPT and change.identity.id]
    held = held_elsewhere(project) if adopted else {}
    ids = {change.address: change.identity.id for change in plan.changes}
    for change in adopted:
        target, parent_id = str(change.placement.route.get("target", "")), ids.get(change.placement.parent, "")
        if name := held.get(object_of(change.kind, change.identity.id, target, parent_id)):
            resource = project.inventory.resources[change.address]
            yield resource.problem(
                "of-another-stack",
                "",
                f"{change.identity.id} is managed by stack {name}",
                detail="Two stacks must not manage the same object.",
                remedy=f"Remove it from one stack: `dbc-iac --stack {name} state rm ADDRESS`.",
                exit_code=ExitCode.REFUSED,
            )


def held_elsewhere(project: Project) -> dict[Object, str]:
    """The objects that other stacks manage, and the name of each one's stack. Empty if stacks cannot be listed."""
    names = [name for name in _names(project) or () if name != project.stack]
    states = {name: state for name in names if (state := _state(project, name)) is not None}
    return {one: name for name, state in states.items() for one in objects(state)}


def _names(project: Project) -> list[str] | None:
    try:
        return project.store.backend.stacks()
    except OSError as error:
        summary = f"cannot list the stacks of {project.store.backend.place} ({error.strerror})"
        raise failure("state-unreadable", summary, exit_code=code_of(error)) from None


def _state(project: Project, stack: str) -> State | None:
    """The state of a stack, for reading; None if another project has it in the same backend."""
    state = project.store_of(stack).read()
    return state if state is not None and state.uid == project.loaded.project.uid else None
