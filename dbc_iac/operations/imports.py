"""Unmanaged objects: found, imported under an address, or described in new manifests and imported."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from msgspec.structs import replace

from dbc_iac.address import Address
from dbc_iac.diagnostics import Diagnostic, Severity, failure
from dbc_iac.files.outputs import check_folder, write_new_files
from dbc_iac.importing.bind import OtherStacks, adopt
from dbc_iac.importing.discover import MAY_BE_TAKEN, Findings, UnmanagedObject, find_unbound
from dbc_iac.importing.generate import manifests, name_documents
from dbc_iac.importing.rebuild import Rebuilt, rebuild
from dbc_iac.kinds import kind_of
from dbc_iac.kinds.framework.cached_reader import CachedReader
from dbc_iac.kinds.framework.capabilities import Child, Host
from dbc_iac.kinds.framework.importable import importable
from dbc_iac.operations.errored_state import state_to_edit
from dbc_iac.operations.project import Project
from dbc_iac.operations.stacks import held_elsewhere
from dbc_iac.plan import PlanContext
from dbc_iac.plan.decide.ownership import object_of
from dbc_iac.plan.observe.tracked_objects import parent_address
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

    Objects that the manifests describe are imported under their addresses. `reload` loads the project again, with the
    new manifests. Returns ids by address, and warnings. Raises DiagnosticError, and then leaves no new file.
    """
    project.check().raise_errors()
    target = project.directory / folder
    check_folder(target, project.directory)
    with project.locked("import"):
        rebuilt = _bound(project, state_to_edit(project))
        before = rebuilt.state
        findings = _find(project, before)
        candidates = [f for f in findings.found if f.whose in MAY_BE_TAKEN]
        new, unclear = _new_objects(candidates, rebuilt, project)
        hosts = {b.id: a for a, b in before.bindings.items() if isinstance(kind_of(b.kind), Host)}
        parents = hosts.keys() | {f.id for f in new if not f.parent_id}
        wanted = [f for f in new if not f.parent_id or f.parent_id in parents]
        documents = name_documents(wanted, frozenset(project.inventory.resources))
        files, unwritable = manifests(documents, hosts)
        with _new_files(project, target, files):
            again = reload()
            missing = sorted(a for a in documents if a not in again.inventory.resources)
            if missing:
                raise failure(
                    "not-in-globs",
                    f"`manifests` of the project file does not include {folder}",
                    remedy="Add the folder to `manifests`, and import again.",
                )
            again.check().raise_errors()
            ids = {address: found.id for address, found in documents.items()}
            after, warnings = _adopted(again, before, ids, foreign=False)
        project.store.commit(after)
    bound = {address: before.bindings[address].id for address in rebuilt.proofs}
    return bound | ids, (*unclear, *unwritable, *warnings)


def _bound(project: Project, state: State) -> Rebuilt:
    """The state with bindings of the objects that the manifests describe."""
    held = held_elsewhere(project)

    async def bind(context: PlanContext) -> Rebuilt:
        return await rebuild(context, {}, frozenset(), held)

    return project.work(bind, state)


def _new_objects(
    found: list[UnmanagedObject], rebuilt: Rebuilt, project: Project
) -> tuple[list[UnmanagedObject], list[Diagnostic]]:
    """The objects that need a new manifest; and a warning for each that is not imported."""
    new, warnings = list[UnmanagedObject](), list[Diagnostic]()
    for one in found:
        if address := _described(one, rebuilt, project):
            if not project.inventory.resources[address].external:
                warnings.append(_not_bound(one, address, rebuilt.open_questions.get(address, "")))
        elif (warning := _not_shown(one)) is not None:
            warnings.append(warning)
        else:
            new.append(one)
    return new, warnings


def _described(one: UnmanagedObject, rebuilt: Rebuilt, project: Project) -> str:
    """Address of the unbound resource that describes an object, or may do so; empty without one."""
    if address := rebuilt.described.get(object_of(one.kind, one.id, one.route.target, one.parent_id)):
        return address
    for address in sorted(rebuilt.ambiguous - rebuilt.state.generations.keys()):
        resource = project.inventory.resources[address]
        parent = rebuilt.state.bindings.get(parent_address(resource))
        if resource.kind == one.kind and parent is not None and parent.id == one.parent_id:
            return address
    return ""


def _not_bound(one: UnmanagedObject, address: str, reason: str) -> Diagnostic:
    return Diagnostic(
        "not-imported", Severity.WARNING, f"{one.id} is not imported: it may be {address}", reason,
        f"Import it with `dbc-iac import {address} {one.id}`.", address=address,
    )  # fmt: skip


def _not_shown(one: UnmanagedObject) -> Diagnostic | None:
    """A warning about an object that cannot be described; None if the API shows every required field."""
    if not (path := importable(one.kind).not_shown(one.fields)):
        return None
    return Diagnostic(
        "not-imported", Severity.WARNING, f"a {one.kind} is not imported: the API does not show its {path}",
        f"Its id is {one.id}, on {one.place}.", "Write its manifest, and import it by its id.",
    )  # fmt: skip


@contextmanager
def _new_files(project: Project, folder: Path, files: Mapping[str, str]) -> Iterator[None]:
    """Write new files, and remove them if the block fails."""
    existing = [name for name in files if os.path.lexists(folder / name)]
    if existing:
        raise failure("exists", f"{folder / existing[0]} already exists", remedy="Name another folder with --generate.")
    there = os.path.lexists(folder)
    write_new_files({folder / name: text for name, text in files.items()}, project.directory)
    try:
        yield
    except BaseException:
        for name in files:
            (folder / name).unlink(missing_ok=True)
        if not there:
            with suppress(OSError):
                folder.rmdir()
        raise
