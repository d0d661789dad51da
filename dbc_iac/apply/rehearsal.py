"""Rehearsal of a plan from a file: each call is prepared up to its request, and nothing is sent.

A plan file may have been altered: a value that no call can have is found before the apply begins.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, cast

from dbc_iac.api.channel import Channel
from dbc_iac.api.wire_types import UnsafeWireValue
from dbc_iac.kinds.framework.cached_reader import CachedReader
from dbc_iac.kinds.framework.goal import ActContext, Goal
from dbc_iac.kinds.framework.route import Route
from dbc_iac.kinds.images.files import SUFFIX
from dbc_iac.plan.model import Change
from dbc_iac.plan.schedule.step_builder import CompiledPlan
from dbc_iac.secret import SecretText
from dbc_iac.state.document import Binding

_LOG = logging.getLogger("dbc_iac.apply")
_FILE = f"later{SUFFIX}"
"""In place of a file whose name is known only during the apply."""
_SECRET = SecretText("Placeholder1")


class _RequestReached(Exception):  # noqa: N818 - the end of a rehearsal, not a fault
    pass


class _NoTarget:
    """In place of a channel and of a reader: their first use ends the rehearsal of a call."""

    def __getattr__(self, name: str) -> Any:
        raise _RequestReached


async def _connect(route: Route) -> Channel:
    return cast("Channel", _NoTarget())


def impossible_call(compiled: CompiledPlan, bindings: Mapping[str, Binding]) -> str:
    """The first call that cannot be made, with the reason; empty if there is none."""
    changes = {c.address: c for c in compiled.plan.changes}
    known = {**bindings, **{a: _after(c) for a, c in changes.items() if c.pending}}
    for step in compiled.steps.values():
        for goal in step.goals:
            try:
                _rehearse(goal, changes[goal.address], known)
            except UnsafeWireValue as error:
                return f"{goal.address}: {error}"
            except Exception as error:  # of values that no call of the kind has
                _LOG.debug("the call of %s cannot be prepared", goal.address, exc_info=error)
                return f"{goal.address}: {goal.action_text} is not possible with its values"
    return ""


def _after(change: Change) -> Binding:
    """The binding of an object after its change, with a placeholder for all that only its creation gives."""
    identity = change.identity.id or _FILE
    return Binding(address=change.address, kind=change.kind, id=identity, generation=1, resolved={"file": _FILE})


def _rehearse(goal: Goal, change: Change, bindings: Mapping[str, Binding]) -> None:
    context = ActContext(_connect, dict.fromkeys(change.secrets, _SECRET))
    call = cast("Any", goal.informed(bindings).act(context, cast("CachedReader", _NoTarget())))
    try:
        call.send(None)
    except (_RequestReached, StopIteration):
        pass
    finally:
        call.close()
