"""Checks of resources in plan files and states, which may have been altered."""

from __future__ import annotations

import re
from collections.abc import Container, Mapping, Sequence

from msgspec import convert

from dbc_iac.api.patterns import SEGMENT
from dbc_iac.json import Json
from dbc_iac.kinds.framework.kind import MODELS, kind_of
from dbc_iac.kinds.framework.route import Route
from dbc_iac.kinds.framework.types import observed_gib
from dbc_iac.manifest.header import NAME
from dbc_iac.state.document import Binding

_TARGET = re.compile(r"[0-9a-f]{64}")


def unusable_address(address: str, kind: str) -> bool:
    """Whether no resource of the kind can have the address. Addresses are passed to other programs, such as ssh."""
    return re.fullmatch(rf"{kind}/{NAME.pattern}(\.{NAME.pattern})?(~[0-9]{{1,19}})?", address) is None


def unusable_route(value: Mapping[str, Json]) -> bool:
    """Whether a value is not a route."""
    try:
        return _TARGET.fullmatch(convert(value, Route).target) is None
    except ValueError:
        return True


def unfit_field(
    kind: str, values: Mapping[str, Json], sent: Container[str] = (), dependencies: Sequence[str] = ()
) -> str:
    """Path of the first value that is invalid for its field; empty if all are valid.

    `sent`: paths whose sizes are for a call. Any other may be one that only a node shows, such as 7.81Gi.
    `dependencies`: addresses in place of values that are known after their apply.
    """
    for field in kind_of(kind).fields:
        checked = field.path in values and field.reference is None and not field.rule.secret
        if checked and values[field.path] not in dependencies:
            try:
                if field.is_size and field.path not in sent:
                    observed_gib(str(values[field.path]))
                else:
                    field.adapter.validate_python(values[field.path])
            except ValueError:
                # A text may differ from those of manifests: a resolved file name, or a word that only the state has.
                if not (field.text and isinstance(values[field.path], str)):
                    return field.path
    return ""


def unusable_part(address: str, binding: Binding) -> str:
    """First part of a binding that no apply can have written; empty if there is none."""
    if binding.kind not in MODELS:
        return "kind"
    if address != binding.address or unusable_address(address, binding.kind):
        return "address"
    # No call can name an object by an unusable id.
    if kind_of(binding.kind).ids_in_paths and re.fullmatch(SEGMENT, binding.id) is None:
        return "id"
    if unusable_route(binding.route):
        return "route"
    path = unfit_field(binding.kind, binding.applied)
    return f"applied.{path}" if path else ""
