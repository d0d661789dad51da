"""Observation of a copy by its size and that of its source."""

from __future__ import annotations

import asyncio
from fractions import Fraction

import pytest

from dbc_iac.api.responses import StoredImage
from dbc_iac.kinds.framework.cached_reader import Unreadable
from dbc_iac.kinds.framework.goal import GoalStatus
from dbc_iac.kinds.framework.values import Lookup
from dbc_iac.kinds.images.transfer import INCOMPLETE, observed_copy, still_used
from dbc_iac.state.document import Binding
from tests.kinds.shown import ROUTE, VM, reader


def bound(size: str) -> Binding:
    return Binding(address="Image/a", kind="Image", id="a.qcow2", generation=1, resolved={"size": size})


@pytest.mark.parametrize(
    ("copy", "source", "applied", "partial", "notes"),
    [
        (4, 4, "", False, 0),
        (1, 4, "", True, 1),
        (4, 8, "4Gi", False, 1),
        (1, 8, "4Gi", True, 1),
        (None, 4, "", False, 0),
        (4, None, "", False, 0),
    ],
    ids=["whole", "a part", "the source is newer", "a part of a newer source", "unknown size", "unknown source"],
)
def test_a_copy_is_partial_if_it_has_neither_the_size_of_its_source_nor_the_applied_one(
    copy: int | None, source: int | None, applied: str, partial: bool, notes: int
) -> None:
    made, origin = (StoredImage("a.qcow2", None if size is None else Fraction(size)) for size in (copy, source))
    lookup = Lookup("Image/a", ROUTE, "a.qcow2", 1, bound(applied) if applied else None)
    seen = observed_copy(lookup, {"file": "a.qcow2"}, made, origin, "ID_1", "on the node")
    assert (seen.partial, seen.values.get(INCOMPLETE, False), len(seen.notes)) == (partial, partial, notes)


@pytest.mark.parametrize(
    ("vms", "status"),
    [({}, None), ({VM: None}, GoalStatus.FAILED), (Unreadable("no answer"), GoalStatus.UNKNOWN)],
    ids=["users are gone", "a user is left", "unreadable"],
)
def test_a_file_is_overwritten_only_when_its_users_are_gone(vms: object, status: GoalStatus | None) -> None:
    state = asyncio.run(still_used(reader(vms=vms), ROUTE, {"VirtualMachine/a": VM}))
    assert (state and state.sight) is status
    assert asyncio.run(still_used(reader(), ROUTE, {})) is None
