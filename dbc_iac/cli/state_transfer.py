"""Copies of a state in files: `state pull` and `push`, `state migrate`, and what an apply could not write."""

from __future__ import annotations

import errno
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dbc_iac.cli.app import App, writing
from dbc_iac.cli.options import json_option
from dbc_iac.cli.output_files import check_outputs
from dbc_iac.diagnostics import Diagnostic, DiagnosticError, Diagnostics, ExitCode, Severity
from dbc_iac.files.reading import read_given
from dbc_iac.files.writing import write_new, write_whole

if TYPE_CHECKING:
    from dbc_iac.cli.workspace import Workspace
    from dbc_iac.state import Store
    from dbc_iac.state.backup import StateBackup

_TRIES = 100


def errored_files(workspace: Workspace, serial: int) -> list[Path]:
    """The files of applies of this stack that went on from a state of this serial, or of a later one: nothing else
    knows what they did."""
    directory, stack = workspace.app.directory, workspace.app.stack
    found = {
        file: file.name.split(".")[-3].partition("-")[0] for file in directory.glob(f"errored.{stack}.*.state.json")
    }
    return sorted(file for file, said in found.items() if said.isdecimal() and int(said) >= serial)


def still_errored(workspace: Workspace, serial: int) -> Diagnostic | None:
    """That such a file waits to be put back. Nothing is to be done before: it would be done without what it tells."""
    files = errored_files(workspace, serial)
    if not files:
        return None
    named = ", ".join(str(file) for file in files)
    return Diagnostic(
        "errored-state-waits",
        Severity.ERROR,
        f"what an earlier apply did is only in {named}, and not in the state",
        "What is planned without it may be done already.",
        f"{_push(files[0])}. Where that is refused, and what it tells has been seen to otherwise: remove the file.",
        exit_code=ExitCode.REFUSED,
    )


def _push(file: Path) -> str:
    return f"dbc-iac state push {shlex.quote(str(file.absolute()))}"


def keep_errored(workspace: Workspace, copy: StateBackup) -> Diagnostic:
    """Write what an apply did, and could not write to its place, to a file beside the project file."""
    try:
        file = _write_beside(workspace, copy)
    except OSError as error:
        return Diagnostic(
            "errored-state",
            Severity.ERROR,
            f"{error.filename or 'a copy'} could not be written either ({error.strerror})",
            "What was done is on the nodes, and in the journal as far as that could be written.",
            "Apply again: what is there is found by its markers and ids.",
            exit_code=ExitCode.PARTIAL,
        )
    return Diagnostic(
        "errored-state",
        Severity.ERROR,
        f"what was done is kept in {file}",
        "The state does not know of it. The file is all that does.",
        f"When {workspace.store.backend.place} can be written: {_push(file)}. Apply nothing before. "
        f"Where it says that the state is locked by this run: `dbc-iac state unlock`, or wait for its lease to end.",
        exit_code=ExitCode.PARTIAL,
    )


def _write_beside(workspace: Workspace, copy: StateBackup) -> Path:
    """Into a file of its own: one that is there is of another apply, and all that knows of it. Raises OSError."""
    name = f"errored.{workspace.app.stack}.{copy.state.serial}"
    for number in range(1, _TRIES):
        file = workspace.app.directory / f"{name}{f'-{number}' if number > 1 else ''}.state.json"
        try:
            write_new(file, _content(workspace, copy))
        except FileExistsError:
            continue
        return file
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name)


def _content(workspace: Workspace, copy: StateBackup) -> bytes:
    """What a file with a copy holds: encrypted as the state is."""
    content, keys = copy.text(), workspace.keyring
    if keys is not None:
        from dbc_iac.cli.encryption import sealed_copy

        content = sealed_copy(content, copy.state, keys)
    return content


@click.command("pull")
@click.option(
    "-o", "file", type=click.Path(path_type=Path, dir_okay=False), help="Write it here, encrypted as the state is."
)
@json_option
@click.pass_obj
def state_pull(app: App, /, file: Path | None, as_json: bool) -> None:
    """Print the state document, with its journal folded in. The state is only read."""
    from dbc_iac.cli.workspace import Workspace
    from dbc_iac.state.backup import StateBackup

    app.json = as_json
    workspace = Workspace.load(app)
    check_outputs(app, {"file": file}, workspace.loaded)
    state = workspace.recorded()
    if file is not None:
        with writing():
            written, records = workspace.store.unfolded
            write_whole(file, _content(workspace, StateBackup(written or state, records)), private=True)
        app.show(f"wrote {file}\n", {"file": str(file)})
        return
    app.show(state.model_dump_json(by_alias=True, indent=1) + "\n", state.model_dump(mode="json", by_alias=True))


@click.command("push")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@json_option
@click.pass_obj
def state_push(app: App, /, file: Path, as_json: bool) -> None:
    """Make FILE the state: a pulled copy, or the errored.*.state.json of an apply. Nothing is merged: where the state
    has gone on since, it is refused."""
    from dbc_iac.cli.encryption import opened_here
    from dbc_iac.cli.workspace import Workspace
    from dbc_iac.state.backup import push, read_backup

    app.json = as_json
    workspace = Workspace.load(app)
    copy = read_backup(opened_here(_read(file), str(file), lambda: workspace.keyring), str(file))
    project = workspace.loaded
    with workspace.locked("state push"):
        state = push(copy, workspace.store, project=project.name, uid=project.project.uid)
    app.show(f"The state has serial {state.serial} now.\n", {"serial": state.serial})


def look_at(workspace: Workspace, file: Path, *, refresh: bool) -> None:
    """Take a copy of the state for the state, to be looked at. Raises DiagnosticError where it is no copy."""
    from dbc_iac.cli.encryption import opened
    from dbc_iac.state import Store
    from dbc_iac.state.backends.read_only import ReadOnlyBackend
    from dbc_iac.state.backup import read_backup

    if refresh:
        raise click.UsageError("--state: a copy is no state to plan an apply from; give --refresh=false, too")
    copy = read_backup(opened(_read(file), str(file), lambda: workspace.keyring), str(file))
    workspace.store = Store(ReadOnlyBackend(copy, str(file)), workspace.app.stack)


def _read(file: Path) -> bytes:
    try:
        return read_given(file)
    except OSError as error:
        raise DiagnosticError(
            Diagnostic("not-a-state", Severity.ERROR, f"{file} cannot be read ({error.strerror})")
        ) from None


@click.command("migrate")
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@json_option
@click.pass_obj
def state_migrate(app: App, source: str, target: str, as_json: bool) -> None:
    """Copy the state of the stack from one place to another, which is empty. FROM and TO are YAML files with what
    stands under `state:`, or `project` for that of the project file. The old place is left as it is."""
    from dbc_iac.cli.workspace import Workspace
    from dbc_iac.state import owner

    app.json = as_json
    workspace = Workspace.load(app)
    old, new = (_store(workspace, name) for name in (source, target))
    if old.backend.place == new.backend.place:
        raise _refused("same-place", f"FROM and TO are one place: {old.backend.place}", "Name two places.")
    holder = owner(app.runtime.environ, "state migrate", app.runtime.now())
    project, uid = workspace.loaded.name, workspace.loaded.project.uid
    with old.locked(holder), new.locked(holder):
        state, there = old.look(project=project, uid=uid), new.look(project=project, uid=uid)
        if state is None:
            raise _refused("no-state", f"there is no state at {old.backend.place}", "Check FROM, and --stack.")
        if there is not None:
            raise _refused(
                "not-empty",
                f"{new.backend.place} has a state already, of serial {there.serial}",
                "Choose an empty place, or remove that one.",
            )
        new.begin(state)
    left = f"{old.backend.place} is left as it was: remove it, and use it no more."
    told = f"The state is at {new.backend.place} now. {left}\n"
    app.show(told, {"from": old.backend.place, "to": new.backend.place, "serial": state.serial})


def _store(workspace: Workspace, name: str) -> Store:
    from dbc_iac.cli.backend_factory import backend_of
    from dbc_iac.cli.encryption import sealed
    from dbc_iac.manifest.project import StateSpec
    from dbc_iac.manifest.validate import parse
    from dbc_iac.manifest.yaml import MOST_BYTES, read_yaml
    from dbc_iac.state import Store

    if name == "project":
        return workspace.store
    app = workspace.app
    try:
        content = read_given(Path(name), MOST_BYTES)
    except OSError as error:
        remedy = "Give a file with what stands under `state:`, or `project`."
        raise _refused("no-place", f"{name} cannot be read ({error.strerror})", remedy) from None
    app.sources[name] = content.decode("utf-8", "replace")
    documents, problems = read_yaml(content, name), Diagnostics()
    if len(documents) != 1 or not isinstance(written := documents[0].value, dict):
        raise _refused("no-place", f"{name} is no place of a state", "Give a file with what stands under `state:`.")
    at = ("state",) if "state" in written else ()
    spec = parse(StateSpec, written.get("state", written), documents[0].marks, at, problems)
    if spec is None:
        raise DiagnosticError(*problems)
    return Store(sealed(backend_of(spec, app, workspace.resolver, app.stack), workspace.keyring, app.stack), app.stack)


def _refused(code: str, summary: str, remedy: str) -> DiagnosticError:
    return DiagnosticError(Diagnostic(code, Severity.ERROR, summary, remedy=remedy, exit_code=ExitCode.REFUSED))


COMMANDS = (state_pull, state_push, state_migrate)
