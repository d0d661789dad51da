"""Warnings about a delete and a create that look alike: probably a rename, which would delete the VM. Pure."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping

from dbc_iac.address import Address
from dbc_iac.diagnostics import Diagnostic, Severity
from dbc_iac.json import Json
from dbc_iac.kinds import kind_of
from dbc_iac.plan.model import Action, Change

ALIKE = 0.8
"""Share of fields that are equal from which on a rename is likely."""


def likely_renames(changes: Mapping[str, Change]) -> Iterator[Diagnostic]:
    """One warning for each resource that goes while a like one comes."""
    coming: defaultdict[tuple[str, str], dict[str, Change]] = defaultdict(dict)
    for change in changes.values():
        if change.action is Action.CREATE and not change.identity.old_id:
            # Of those with the same fields the first one is named, so that a fleet is compared once.
            coming[change.kind, change.placement.node].setdefault(json.dumps(_compared(change)), change)
    for going in changes.values():
        if going.action is not Action.DELETE or Address(going.address).deposed:
            continue
        likeness = [(_likeness(going, c), c) for c in coming[going.kind, going.placement.node].values()]
        alike = [(share, c) for share, c in likeness if share >= ALIKE]
        if alike:
            _, best = max(alike, key=lambda found: found[0])
            yield Diagnostic(
                "likely-rename",
                Severity.WARNING,
                f"possible rename of {going.address}",
                f"It is deleted, and {best.address}, which is similar, is created. A new name makes a new resource.",
                f"If it was renamed, add `moved: [{{from: {going.address}, to: {best.address}}}]` to the project file.",
                address=going.address,
            )


def _compared(change: Change) -> dict[str, Json]:
    """The fields that show a likeness: without chosen ports, which always differ."""
    chosen = kind_of(change.kind).port_fields
    return {path: value for path, value in change.desired.items() if path not in chosen}


def _likeness(going: Change, coming: Change) -> float:
    paths = [(p, v) for p, v in _compared(coming).items() if p in going.applied]
    return sum(going.applied[p] == v for p, v in paths) / len(paths) if paths else 0.0
