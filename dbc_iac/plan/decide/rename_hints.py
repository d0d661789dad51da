"""Warnings about a delete and a create that look alike: probably a rename, which would delete the VM. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dbc_iac.address import Address
from dbc_iac.diagnostics import Diagnostic, Severity
from dbc_iac.kinds import kind_of
from dbc_iac.kinds.framework.capabilities import port_fields
from dbc_iac.plan.model import Action, Change

ALIKE = 0.8
"""Share of fields that are equal from which on a rename is likely."""


def likely_renames(changes: Mapping[str, Change]) -> Iterator[Diagnostic]:
    """One warning for each resource that goes while a like one comes."""
    coming = [c for c in changes.values() if c.action is Action.CREATE and not c.identity.old_id]
    for going in changes.values():
        if going.action is not Action.DELETE or Address(going.address).deposed:
            continue
        alike = [c for c in coming if c.kind == going.kind and _likeness(going, c) >= ALIKE]
        if alike:
            best = max(alike, key=lambda c: _likeness(going, c))
            yield Diagnostic(
                "likely-rename",
                Severity.WARNING,
                f"possible rename of {going.address}",
                f"It is deleted, and {best.address}, which is similar, is created. A new name makes a new resource.",
                f"If it was renamed, add `moved: [{{from: {going.address}, to: {best.address}}}]` to the project file.",
                address=going.address,
            )


def _likeness(going: Change, coming: Change) -> float:
    if going.placement.node != coming.placement.node:
        return 0.0
    chosen = port_fields(kind_of(coming.kind))  # which always differ
    paths = [p for p in coming.desired if p in going.applied and p not in chosen]
    return sum(coming.desired[p] == going.applied[p] for p in paths) / len(paths) if paths else 0.0
