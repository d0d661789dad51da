"""Users of image files on machines, which the API does not show. Pure.

A file is not deleted or overwritten while a resource that stays uses it; its users are deleted first.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from msgspec.structs import replace

from dbc_iac.diagnostics import Diagnostic, ExitCode, Related, Severity
from dbc_iac.kinds import Inventory, kind_of
from dbc_iac.kinds.framework.capabilities import made_from, provided_files, runtime_files
from dbc_iac.kinds.framework.goal import Goal
from dbc_iac.kinds.images.files import FileAt
from dbc_iac.plan.context import PlanContext
from dbc_iac.plan.dependencies import has_route
from dbc_iac.plan.model import Action, Change
from dbc_iac.plan.schedule.step_builder import goals_of
from dbc_iac.state.document import Binding

_GOES = frozenset({Action.DELETE, Action.REPLACE})


def users_of(file: FileAt, inventory: Inventory, bindings: Mapping[str, Binding]) -> list[str]:
    """Addresses of the users of a file: those in the state, and external VMs."""
    bound = (a for a, b in bindings.items() if file in runtime_files(kind_of(b.kind), b.applied))
    return sorted({*bound, *(a for a, files in _external(inventory).items() if file in files)})


def _external(inventory: Inventory) -> dict[str, frozenset[FileAt]]:
    """Files of external resources, by address."""
    found = (r for r in inventory.resources.values() if r.external and has_route(r, inventory))
    return {r.address: runtime_files(kind_of(r.kind), kind_of(r.kind).desired(r, inventory)) for r in found}


def spare_used(
    context: PlanContext,
    everything: Mapping[str, Change],
    chosen: Mapping[str, Change],
    spoiled: Iterable[tuple[Change, Goal, FileAt]],
) -> tuple[dict[str, Change], list[Diagnostic]]:
    """Refuse to delete or overwrite a file that a staying resource uses. `chosen`: the changes to make; `spoiled`: what
    `spoiling` gives of them.

    Returns the changes, except those that only complete a file in use: a warning names them.
    """
    kept = dict(chosen)
    problems: list[Diagnostic] = []
    external: Mapping[FileAt, set[str]] | None = None
    users: dict[bool, Mapping[FileAt, set[str]]] = {}
    for change, goal, file in spoiled:
        if external is None:
            external = _by_file(_external(context.inventory).items())
        if goal.deletes not in users:
            left = ((a, _left_on(c, chosen.get(a), deleted=goal.deletes)) for a, c in everything.items())
            users[goal.deletes] = _by_file(left)
        staying = users[goal.deletes].get(file, set()) - {change.address} | external.get(file, set())
        if not staying:
            continue
        problem = _refused(context, change, goal, file, sorted(staying))
        if _only_completes(change):
            kept[change.address] = replace(change, action=Action.NO_OP, fields=(), notes=change.reasons)
            problem = _left_incomplete(problem, change, file, sorted(staying), _made_from(file, chosen))
        problems.append(problem)
    return kept, problems


def _only_completes(change: Change) -> bool:
    """Whether the change only completes a file, and the manifest did not change."""
    return (change.action is Action.UPDATE and not change.fields) or change.action is Action.CREATE


def _made_from(file: FileAt, chosen: Mapping[str, Change]) -> list[str]:
    """Addresses of resources that are built from a file in this plan."""
    made = (c for c in chosen.values() if c.action in {Action.CREATE, Action.REPLACE})
    return sorted(c.address for c in made if file in runtime_files(kind_of(c.kind), c.desired))


def _left_incomplete(
    problem: Diagnostic, change: Change, file: FileAt, users: list[str], coming: list[str]
) -> Diagnostic:
    """The problem as a warning; as an error if a resource would be built from an incomplete file."""
    built = f"{', '.join(coming)} would be built from it. " if coming else ""
    return replace(
        problem,
        severity=Severity.ERROR if coming else Severity.WARNING,
        code="image-incomplete",
        summary=f"{file.name} on {change.placement.node} is incomplete",
        detail=f"{built}{'; '.join(change.reasons)}. It is not overwritten while in use by {', '.join(users)}.",
        remedy=f"Use `dbc-iac image download {file.name} --overwrite` if the image server has the same file; else use "
        "another file name, and replace the users.",
        exit_code=ExitCode.REFUSED if coming else ExitCode.OK,
    )


def with_users(changes: Mapping[str, Change]) -> dict[str, Change]:
    """The changes with the users of each file, which are deleted before it."""
    found = dict(changes)
    going: Mapping[FileAt, set[str]] | None = None
    for change, _, file in spoiling(changes):
        if going is None:
            going = _by_file((a, _now(c)) for a, c in changes.items() if c.action in _GOES)
        here = found[change.address]
        users = {a: changes[a].identity.old_id for a in sorted(going.get(file, ())) if a != change.address}
        found[change.address] = replace(here, users={**here.users, **users})
    return found


def _by_file(files: Iterable[tuple[str, frozenset[FileAt]]]) -> Mapping[FileAt, set[str]]:
    """Addresses by file, from the files of each address."""
    found: defaultdict[FileAt, set[str]] = defaultdict(set)
    for address, used in files:
        for file in used:
            found[file].add(address)
    return found


def spoiling(changes: Mapping[str, Change]) -> Iterator[tuple[Change, Goal, FileAt]]:
    """The goals of the changes that delete or overwrite a file."""
    for change in changes.values():
        kind = kind_of(change.kind)
        if change.pending and (provided_files(kind, change.applied) or provided_files(kind, change.desired)):
            goals = goals_of(change)
            for goal in (*goals.before, *goals.offline, *goals.after, *goals.removal):
                if goal.spoils is not None:
                    yield change, goal, goal.spoils


def _now(change: Change) -> frozenset[FileAt]:
    """Files that the existing object of an address uses."""
    gone = change.action is Action.CREATE or (change.action is Action.FORGET and not change.observed)
    values = change.applied or (change.desired if change.action is Action.ADOPT else {})
    return frozenset() if gone else runtime_files(kind_of(change.kind), values)


def _left_on(change: Change, chosen: Change | None, *, deleted: bool) -> frozenset[FileAt]:
    """Files that an address still uses when a file is deleted, or else overwritten."""
    if chosen is None:
        return _now(change)
    if chosen.action is Action.DELETE:
        return frozenset()
    if not deleted:  # its replacement is created after the file is overwritten
        return _now(chosen)
    kept = frozenset() if chosen.action is Action.REPLACE else _now(chosen)
    return kept if chosen.action is Action.FORGET else kept | runtime_files(kind_of(chosen.kind), chosen.desired)


def _refused(context: PlanContext, change: Change, goal: Goal, file: FileAt, users: list[str]) -> Diagnostic:
    """The refusal, at the manifest of the file, else at that of the first user."""
    documents = context.inventory.resources
    verb = "delete" if goal.deletes else "overwrite"
    source, summary = None, f"cannot {verb} {file.name} on {change.placement.node}: it is in use"
    if change.address in documents:
        changed = [f.path for f in change.fields]
        where = documents[change.address].where
        source = next((s for path in changed if (s := where(path))), None) or where("")
    places = [(a, made_from(documents[a])) for a in users if a in documents]
    related = tuple(Related(f"{a} uses it", place) for a, place in places if place is not None)
    if source is None and related:
        source = related[0].source
    return Diagnostic(
        "image-in-use",
        Severity.ERROR,
        summary,
        f"{', '.join(users)} {'uses' if len(users) == 1 else 'use'} it. "
        "A disk holds only its differences from the image: without the image its data is lost.",
        _remedy(change, goal, users),
        source,
        related,
        change.address,
        ExitCode.REFUSED,
    )


def _remedy(change: Change, goal: Goal, users: list[str]) -> str:
    them = ", ".join(users)
    if not goal.deletes:
        return f"Use another file name for the new image, and replace {them}."
    return (
        f"Delete {them} in the same plan, or replace them with another image. To keep the file, add "
        f"{change.address} to `removed` of the project file."
    )
