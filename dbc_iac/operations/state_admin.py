"""Administration of the state: move, remove and rebuild bindings; copies, other backends, locks and encryption."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from dbc_iac.address import Address, close_address
from dbc_iac.diagnostics import DiagnosticError, Diagnostics, ExitCode, failure
from dbc_iac.files.reading import read_given
from dbc_iac.importing.rebuild import Rebuilt, rebuild
from dbc_iac.kinds import kind_of
from dbc_iac.manifest.project import StateSpec
from dbc_iac.manifest.validate import parse
from dbc_iac.manifest.yaml import MAX_BYTES, read_yaml
from dbc_iac.operations.backends import backend_of
from dbc_iac.operations.errored_state import refuse_errored_state, state_to_edit
from dbc_iac.operations.project import Project
from dbc_iac.operations.stacks import held_elsewhere
from dbc_iac.plan import PlanContext
from dbc_iac.plan.decide.moved_blocks import move_binding
from dbc_iac.state import Binding, State, Store, owner
from dbc_iac.state.backends.backend import code_of
from dbc_iac.state.encryption import EncryptedBackend, Writes
from dbc_iac.views.wording import some

Approve = Callable[[str], None]
"""Asks for approval of a question; raises if it is refused."""


def is_applying(project: Project) -> bool:
    """Whether a run that applies holds the state lock. False if that cannot be read."""
    try:
        holder = project.store.backend.holder()
    except OSError:
        return False
    return holder is not None and holder.get("command") in {"apply", "destroy", "controller"}


def binding_of(project: Project, address: str) -> Binding:
    """The recorded binding of an address, or of the only resource of that name. Raises DiagnosticError."""
    state = project.state
    named = [a for a in state.bindings if address in {Address(a).label, Address(a).group.name}]
    if address in state.bindings or not named:
        return _binding(state, address)
    if len(named) == 1:
        return state.bindings[named[0]]
    raise failure(
        "ambiguous-name",
        f"{len(named)} resources have the name {address[:40]}",
        f"They are {some(sorted(named))}.",
        "Use one of these addresses.",
    )


def _binding(state: State, address: str) -> Binding:
    if address not in state.bindings:
        close = close_address(address, state.bindings)
        remedy = f"Did you mean {close}?" if close else "Run `dbc-iac state list` for the addresses."
        raise failure("not-in-state", f"{address} is not in the state", remedy=remedy)
    return state.bindings[address]


def move(project: Project, source: str, destination: str) -> None:
    """Give the binding of one address to another. Raises DiagnosticError."""
    with project.locked("state mv"):
        project.store.commit(move_binding(state_to_edit(project), source, destination))


def remove(project: Project, addresses: Collection[str], approve: Approve) -> None:
    """Remove bindings from the state; the objects are untouched. Raises DiagnosticError."""
    with project.locked("state rm"):
        state = state_to_edit(project)
        for address in addresses:
            _binding(state, address)
            left = sorted(a for a, b in state.bindings.items() if a not in addresses and _depends_on(b, address))
            if left:
                remedy = f"Add {left[0]} to the command."
                raise failure("has-dependents", f"{left[0]} depends on {address}", remedy=remedy)
        approve(f"Remove {', '.join(addresses)} from the state?")
        for address in addresses:
            state = state.without_binding(address)
        project.store.commit(state)


def _depends_on(binding: Binding, address: str) -> bool:
    """Whether an object is on another one, or is found by what the state has of that one: the Image of a Snapshot."""
    found_by = kind_of(binding.kind).found_by
    return binding.parent == address or (address in binding.dependencies and Address(address).kind in found_by)


def rebuild_state(
    project: Project,
    ids: Mapping[str, str],
    new: frozenset[str],
    show: Callable[[Rebuilt], None],
    approve: Approve,
) -> Rebuilt:
    """Rebuild a lost state from the markers and ids of the objects. Raises DiagnosticError.

    `ids` are answers for addresses that cannot be proved, `new` addresses without an object. `show` is called before
    approval.
    """
    project.check().raise_errors()
    with project.locked("state rebuild"):
        held = held_elsewhere(project)

        async def build(context: PlanContext) -> Rebuilt:
            return await rebuild(context, dict(ids), new, held)

        rebuilt = project.work(build, state_to_edit(project))
        show(rebuilt)
        if rebuilt.changed:
            approve("Write this state?")
            project.store.commit(rebuilt.state)
    return rebuilt


def migrate(project: Project, source: str, target: str) -> tuple[str, str, State]:
    """Copy the state of the stack to an empty backend. Returns both backends' places, and the state.

    `source` and `target` are YAML files with the content of `state:`, or `project`. Raises DiagnosticError.
    """
    old, new = (_store(project, name) for name in (source, target))
    if old.backend.place == new.backend.place:
        raise failure(
            "same-backend",
            f"FROM and TO are the same backend: {old.backend.place}",
            remedy="Name two backends.",
            exit_code=ExitCode.REFUSED,
        )
    holder = owner(project.runtime.environ, "state migrate", project.runtime.now())
    name, uid = project.loaded.name, project.loaded.project.uid
    with old.locked(holder), new.locked(holder):
        state, existing = old.look(project=name, uid=uid), new.look(project=name, uid=uid)
        if state is None:
            raise failure(
                "no-state",
                f"there is no state at {old.backend.place}",
                remedy="Correct FROM or --stack.",
                exit_code=ExitCode.REFUSED,
            )
        if existing is not None:
            raise failure(
                "not-empty",
                f"{new.backend.place} already has a state, with serial {existing.serial}",
                remedy="Choose an empty backend as TO.",
                exit_code=ExitCode.REFUSED,
            )
        new.begin(state)
    return old.backend.place, new.backend.place, state


def _store(project: Project, name: str) -> Store:
    if name == "project":
        return project.store
    remedy = "Give a YAML file with the content of `state:`, or `project`."
    try:
        content = read_given(Path(name), MAX_BYTES)
    except OSError as error:
        raise failure(
            "invalid-backend", f"cannot read {name} ({error.strerror})", remedy=remedy, exit_code=ExitCode.REFUSED
        ) from None
    project.sources[name] = content.decode("utf-8", "replace")
    documents, problems = read_yaml(content, name), Diagnostics()
    if len(documents) != 1 or not isinstance(written := documents[0].value, dict):
        raise failure(
            "invalid-backend", f"{name} is not the description of a backend", remedy=remedy, exit_code=ExitCode.REFUSED
        )
    at = ("state",) if "state" in written else ()
    spec = parse(StateSpec, written.get("state", written), documents[0].marks, at, problems)
    if spec is None:
        raise DiagnosticError(*problems)
    return project.store_of(project.stack, spec)


def unlock(project: Project, approve: Approve) -> Mapping[str, object] | None:
    """Break the state lock of a run that has ended. Returns its holder; None if it is not locked.

    Raises DiagnosticError.
    """
    backend = project.store.backend
    try:
        holder = backend.holder()
        if holder is None:
            return None
        if backend.lease is None:
            raise failure(
                "lock-of-a-process",
                f"the lock of {backend.place} is held by a process",
                "It is released when that process ends.",
                f"End process {holder.get('pid') or ''}".rstrip() + ".",
                exit_code=ExitCode.LOCKED,
            )
        approve(f"Break the lock of {holder_text(holder)}?")
        backend.break_lock()
    except OSError as error:
        summary = f"cannot reach {backend.place} ({error.strerror})"
        remedy = "Check the network and `state` in the project file."
        raise failure("state-unreadable", summary, remedy=remedy, exit_code=code_of(error)) from None
    return holder


def holder_text(holder: Mapping[str, object]) -> str:
    """The holder of a lock in one line."""
    return ", ".join(f"{name} {value}" for name, value in holder.items() if value)


def rewrite(project: Project, writes: Writes) -> bool:
    """Encrypt, decrypt, or re-encrypt the state. False if it was so already. Raises DiagnosticError."""
    keys = project.keyring
    if keys is None:
        raise failure("no-encryption", "the project file has no `encryption`", remedy="Add `encryption` with a key.")
    inner = backend_of(project, project.loaded.project.state, project.stack)
    backend = EncryptedBackend(inner, keys, project.stack, writes)
    store = project.store = Store(backend, project.stack)
    with project.locked("state"):
        state = store.look(project=project.loaded.name, uid=project.loaded.project.uid)
        if state is None:
            raise failure(
                "no-state", f"there is no state at {store.backend.place}", remedy="Run `dbc-iac apply` first."
            )
        if writes is not Writes.NEW_KEY and backend.is_sealed == (writes is Writes.FIRST):
            backend.clear_stale()
            return False
        refuse_errored_state(project, state.serial)
        store.commit(state)
    return True
