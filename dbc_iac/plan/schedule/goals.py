"""Goals of a change. Pure: the same change always gives the same goals."""

from __future__ import annotations

from msgspec import Struct, convert

from dbc_iac.kinds import kind_of
from dbc_iac.kinds.framework.goal import Goal, Needs
from dbc_iac.kinds.framework.route import Route
from dbc_iac.kinds.framework.values import GoalInput
from dbc_iac.plan.model import Action, Change


def goal_input(change: Change) -> GoalInput:
    """Input of a kind for the goals of a change."""
    route = convert(change.placement.route, Route)
    return GoalInput(
        address=change.address,
        route=route,
        id=change.identity.id,
        old_id=change.identity.old_id,
        generation=change.identity.generation,
        parent_id=change.placement.parent_id,
        old_parent_id=change.old_placement.parent_id or change.placement.parent_id,
        desired=change.desired,
        applied=change.applied,
        observed={**change.resolved, **change.observed},
        changed=tuple(f.path for f in change.fields),
        secrets=change.secrets,
        old_route=convert(change.old_placement.route, Route) if change.old_placement.route else None,
        marker=change.identity.marker,
        known=frozenset(change.identity.known),
        timeout_seconds=change.timeout_seconds or None,
        users=change.users,
    )


def keeps_identity(change: Change) -> bool:
    """Whether the new object has the identity of the old one: its name, and its machine where that matters."""
    place, before = change.placement.route.get("target"), change.old_placement.route.get("target")
    there = kind_of(change.kind).location_independent or before in {None, place}
    return bool(change.identity.id) and change.identity.id == change.identity.old_id and there


class Goals(Struct, frozen=True):
    """Goals of one change, by phase.

    `before`: in the step of the change; `offline`: in the window of its VM; `after`: once the VM runs again; `removal`:
    deletion of the old object.
    """

    before: tuple[Goal, ...] = ()
    offline: tuple[Goal, ...] = ()
    after: tuple[Goal, ...] = ()
    removal: tuple[Goal, ...] = ()


def goals_of(change: Change, *, parent_deleted: bool = False) -> Goals:
    """The goals of a change. `parent_deleted`: the VM is deleted with its old disks, without calls for them."""
    kind, task = kind_of(change.kind), goal_input(change)
    making: list[Goal] = []
    removal: list[Goal] = []
    match change.action:
        case Action.CREATE:
            making = list(kind.create(task))
        case Action.ADOPT:
            making = list(kind.adopt(task))
        case Action.UPDATE:
            making = list(kind.update(task))
        case Action.REPLACE:
            making, removal = list(kind.create(task)), [] if parent_deleted else list(kind.delete(task))
        case Action.DELETE:
            removal = [] if parent_deleted else list(kind.delete(task))
        case _:
            pass
    offline = [g for g in making if g.needs is Needs.OFF]
    runs_later = change.action is Action.ADOPT and change.observed_power not in {"", "on"}
    bound = change.action is Action.UPDATE or runs_later
    running = [g for g in making if g.late or (g.needs is Needs.RUNNING and bound)]
    before = [g for g in making if g not in offline and g not in running]
    return Goals(tuple(before), tuple(offline), tuple(running), tuple(removal))
