"""A destroy with manifests that are not all valid."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dbc_iac.kinds import MODELS, kind_of
from tests.plan.case import DEFAULTS
from tests.projects import document, project, vm

REFERENCES = [
    (kind, field.path, f"{field.reference.kind}/none")
    for kind in MODELS
    for field in kind_of(kind).reference_fields
    if field.reference is not None
]
INSTEAD: dict[tuple[str, str], tuple[str, ...]] = {
    ("Image", "snapshot"): ("file",),
    ("BareMetalInstance", "server"): ("nodeId",),
}
"""Fields that a reference takes the place of."""


@pytest.mark.parametrize(("kind", "path", "address"), REFERENCES)
def test_a_reference_to_nothing_is_refused_as_in_a_plan(tmp_path: Path, kind: str, path: str, address: str) -> None:
    spec: dict[str, Any] = {**DEFAULTS[kind], path: "none"}
    for field in INSTEAD.get((kind, path), ()):
        del spec[field]
    made = project(tmp_path, document(kind, "mistyped", spec), *([vm()] if kind != "VirtualMachine" else ()))
    for command in ("plan",), ("plan", "--destroy"), ("destroy", "--yes"):
        result = made.run(*command)
        assert (result.code, f"error[unknown-reference]: there is no {address}" in result.err) == (3, True), result.err


def test_other_problems_prevent_no_destroy(tmp_path: Path) -> None:
    """Also a `dependsOn` of nothing: it decides no route."""
    made = project(tmp_path, vm(dependsOn=["Disk/none"]), vm("second", nicModel="e1000"))
    assert made.run("plan", "--json").codes == ["unknown-reference", "ignored-by-node"]
    result = made.run("plan", "--destroy", "--refresh=false")
    assert result.code == 0, result.err
