"""Rebuilding of a lost state: bindings with proof, answers, and open questions."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from dbc_iac.api.responses import VmSummary
from dbc_iac.diagnostics import DiagnosticError
from dbc_iac.importing import rebuild as module
from dbc_iac.importing.rebuild import Rebuilt, rebuild
from dbc_iac.kinds import kind_of
from dbc_iac.kinds.framework.capabilities import Marked
from tests.kinds.shown import FILE, details, reader
from tests.plan.case import Case

TRAINER, ONE, OTHER = "VirtualMachine/trainer", "/data/one.qcow2", "/data/other.qcow2"
CASE = Case({"manifests": {"Node/gpu-a": {}, TRAINER: {}, "Disk/a": {}, "Disk/b": {"size": "60Gi"}}})
EMPTY: dict[str, object] = {"vms": {}, "vm_status": None, "vm": None, "vm_went": True}


def with_vm(*disks: tuple[str, int, str]) -> dict[str, object]:
    """Answers of a node that has the VM of the case."""
    kind, resource = kind_of("VirtualMachine"), CASE.inventory.resources[TRAINER]
    assert isinstance(kind, Marked)
    identity = kind.identity(resource, CASE.inventory, 1)
    text = f"[{kind.marker(resource, CASE.inventory, 1)}]"
    shown = details(("vdb", 20, FILE), *disks, desc=text)
    listed = {identity: VmSummary(identity, "running", text)}  # type: ignore[arg-type]
    return {"vms": listed, "vm_status": "running", "vm": shown}


def rebuilt(
    monkeypatch: pytest.MonkeyPatch,
    shown: dict[str, object],
    mapped: dict[str, str] | None = None,
    *new: str,
    case: Case = CASE,
) -> Rebuilt:
    monkeypatch.setattr(module, "CachedReader", lambda *_, **__: reader(**shown))
    return asyncio.run(rebuild(case.context, mapped or {}, frozenset(new), {}))


def test_a_vm_and_disks_of_different_sizes_are_bound_with_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    found = rebuilt(monkeypatch, with_vm(("vdc", 60, OTHER), ("vdd", 50, ONE)))
    assert {a: b.id for a, b in found.state.bindings.items() if a != TRAINER} == {"Disk/a": ONE, "Disk/b": OTHER}
    assert found.proofs["Disk/a"] == f"{ONE}: the only disk of that size and directory"
    assert found.proofs[TRAINER].endswith("id and marker of generation 1; hidden fields match the manifest")
    assert (found.open_questions, found.changed) == ({}, True)


def test_resources_without_an_object_are_open_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    found = rebuilt(monkeypatch, EMPTY)
    assert found.open_questions == dict.fromkeys([TRAINER, "Disk/a", "Disk/b"], "not found")
    assert not found.changed


def test_an_answer_binds_a_disk_that_nothing_proves(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = with_vm(("vdc", 70, ONE))
    assert rebuilt(monkeypatch, shown).open_questions.keys() == {"Disk/a", "Disk/b"}
    found = rebuilt(monkeypatch, shown, {"Disk/a": ONE})
    assert found.proofs["Disk/a"] == f"{ONE}: given by --map"
    assert found.open_questions.keys() == {"Disk/b"}


def test_a_resource_that_is_new_is_no_question(monkeypatch: pytest.MonkeyPatch) -> None:
    found = rebuilt(monkeypatch, EMPTY, None, TRAINER, "Disk/a", "Disk/b")
    assert (found.open_questions, found.changed) == ({}, True)
    assert found.state.generations[TRAINER] == 1


@pytest.mark.parametrize(("mapped", "new"), [({"Disk/c": ONE}, ()), ({}, ("Disk/c",))])
def test_an_answer_about_an_unknown_address_is_refused(
    monkeypatch: pytest.MonkeyPatch, mapped: dict[str, str], new: tuple[str, ...]
) -> None:
    with pytest.raises(DiagnosticError, match="Disk/c is not in the manifests"):
        rebuilt(monkeypatch, EMPTY, mapped, *new)


def test_an_image_of_an_unbound_snapshot_needs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    made: dict[str, Any] = {"Snapshot/tuned": {}, "Image/tuned": {"file": None, "snapshot": "tuned"}}
    case = Case({"manifests": {**CASE.written["manifests"], **made}})
    questions = rebuilt(monkeypatch, EMPTY, case=case).open_questions
    assert questions["Image/tuned"] == "needs Snapshot/tuned, which is not bound"
