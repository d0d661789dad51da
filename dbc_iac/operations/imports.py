"""Unmanaged objects: found, imported under an address, or described in new manifests and imported."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from msgspec.structs import replace

from dbc_iac.address import Address
from dbc_iac.diagnostics import Diagnostic, Severity, failure
from dbc_iac.files.outputs import check_folder, write_new_files
from dbc_iac.importing.bind import OtherStacks, adopt
from dbc_iac.importing.discover import MAY_BE_TAKEN, Findings, UnmanagedObject, find_unbound
from dbc_iac.importing.generate import manifests, name_documents
from dbc_iac.kinds import kind_of
from dbc_iac.kinds.framework.cached_reader import CachedReader
from dbc_iac.kinds.framework.capabilities import Child, Host
from dbc_iac.kinds.framework.importable import importable
from dbc_iac.operations.errored_state import state_to_edit
from dbc_iac.operations.project import Project
from dbc_iac.operations.stacks import held_elsewhere
from dbc_iac.plan import PlanContext
from dbc_iac.state import State


def find_orphans(project: Project) -> Findings:
    """The objects on the nodes that are not in the state. Raises DiagnosticError."""
    project.check().raise_errors()
    return project.redaction(_find(project, project.state))


def _find(project: Project, state: State) -> Findings:
    held = held_elsewhere(project)

    async def find(context: PlanContext) -> Findings:
        return await find_unbound(context, CachedReader(context.connect, repeats=True), held)

    return project.work(find, state)


def import_object(project: Project, address: str, identity: str, *, foreign: bool) -> tuple[Diagnostic, ...]:
    """Manage the object with an id under an address. Returns warnings. Raises DiagnosticError.

    `foreign`: also an object of another project or stack that does not manage it any more.
    """
    project.check().raise_errors()
    with project.locked("import"):
        after, warnings = _adopted(project, state_to_edit(project), {address: identity}, foreign=foreign)
        project.store.commit(after)
    return warnings


def _adopted(
    project: Project, before: State, wanted: Mapping[str, str], *, foreign: bool
) -> tuple[State, tuple[Diagnostic, ...]]:
    """The state with each address bound to its object, parents first; and warnings. Raises DiagnosticError."""
    others = OtherStacks(held_elsewhere(project), foreign)

    async def bind(context: PlanContext) -> State:
        state, reader = before, CachedReader(context.connect, repeats=True)
        children = {a for a in wanted if isinstance(kind_of(Address(a).kind), Child)}
        for address, identity in sorted(wanted.items(), key=lambda w: w[0] in children):
            binding = await adopt(replace(context, state=state), address, identity, reader, others)
            state = state.with_binding(binding)
        return state

    after = project.work(bind, before)
    return after, tuple(others.warnings)


def import_all(
    project: Project, folder: Path, reload: Callable[[], Project]
) -> tuple[dict[str, str], tuple[Diagnostic, ...]]:
    """Write manifests into a folder for all objects that no other project manages, and import them.

    `reload` loads the project again, with the new manifests. Returns ids by address, and warnings. Raises
    DiagnosticError.
    """
    project.check().raise_errors()
    target = project.directory / folder
    check_folder(target, project.directory)
    with project.locked("import"):
        before = state_to_edit(project)
        findings = _find(project, before)
        candidates = [f for f in findings.found if f.whose in MAY_BE_TAKEN]
        unclear = [*filter(None, map(_not_shown, candidates))]
        shown = [f for f in candidates if _not_shown(f) is None]
        hosts = {b.id: a for a, b in before.bindings.items() if isinstance(kind_of(b.kind), Host)}
        parents = hosts.keys() | {f.id for f in shown if not f.parent_id}
        wanted = [f for f in shown if not f.parent_id or f.parent_id in parents]
        documents = name_documents(wanted, frozenset(project.inventory.resources))
        files, unwritable = manifests(documents, hosts)
        _write_new(project, target, files)
        again = reload()
        missing = sorted(a for a in documents if a not in again.inventory.resources)
        if missing:
            raise failure(
                "not-in-globs",
                f"`manifests` of the project file does not include {folder}",
                remedy="Add the folder to `manifests`, remove the new files, and import again.",
            )
        again.check().raise_errors()
        ids = {address: found.id for address, found in documents.items()}
        after, warnings = _adopted(again, before, ids, foreign=False)
        project.store.commit(after)
    return ids, (*unclear, *unwritable, *warnings)


def _not_shown(one: UnmanagedObject) -> Diagnostic | None:
    """A warning about an object that cannot be described; None if the API shows every required field."""
    if not (path := importable(one.kind).not_shown(one.fields)):
        return None
    return Diagnostic(
        "not-imported", Severity.WARNING, f"a {one.kind} is not imported: the API does not show its {path}",
        f"Its id is {one.id}, on {one.place}.", "Write its manifest, and import it by its id.",
    )  # fmt: skip


def _write_new(project: Project, folder: Path, files: Mapping[str, str]) -> None:
    existing = [name for name in files if os.path.lexists(folder / name)]
    if existing:
        raise failure("exists", f"{folder / existing[0]} already exists", remedy="Name another folder with --generate.")
    write_new_files({folder / name: text for name, text in files.items()}, project.directory)
