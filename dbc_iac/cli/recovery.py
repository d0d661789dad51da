"""Commands that compare and mend what the project knows: drift, orphans, import, state mv, rm, rebuild."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dbc_iac.cli.app import App, Exit
from dbc_iac.cli.options import json_option, yes_option
from dbc_iac.cli.output_files import check_folder, write_new_files
from dbc_iac.diagnostics import Diagnostic, DiagnosticError, ExitCode, Severity

if TYPE_CHECKING:
    from dbc_iac.cli.workspace import Workspace
    from dbc_iac.importing.discover import Findings, UnmanagedObject
    from dbc_iac.plan import PlanContext
    from dbc_iac.state import State


@click.command()
@json_option
@click.pass_obj
def drift(app: App, as_json: bool) -> None:
    """Show what moved since it was applied. Ends with 2 where something did; never changes anything."""
    from dbc_iac.cli.pipelines import forgotten
    from dbc_iac.cli.workspace import Workspace
    from dbc_iac.plan.review.drift import find_drift
    from dbc_iac.views.text.drift import drift_text

    app.json = as_json
    workspace = Workspace.load(app)
    workspace.check().raise_errors()
    report = app.redaction(workspace.work(find_drift, workspace.recorded()))
    app.report((*report.diagnostics, *forgotten(workspace.loaded.project.state, app.runtime.environ)))
    app.show(drift_text(report), report.to_json())
    if report.exit_code is not ExitCode.OK:
        raise Exit(report.exit_code)


@click.command()
@json_option
@click.pass_obj
def orphans(app: App, as_json: bool) -> None:
    """List what lives on the machines and is not in the state."""
    from dbc_iac.cli.workspace import Workspace
    from dbc_iac.views.text.importing import findings_text

    app.json = as_json
    workspace = Workspace.load(app)
    workspace.check().raise_errors()
    findings = app.redaction(_found(workspace, workspace.recorded()))
    rows = [
        {"kind": f.kind, "id": f.id, "place": f.place, "whose": f.whose, "marker": f.marker, "status": f.status}
        for f in findings.found
    ]
    app.show(findings_text(findings), {"found": rows, "unread": dict(findings.unread)})
    if findings.unread:
        raise Exit(ExitCode.ERROR)


def _found(workspace: Workspace, state: State) -> Findings:
    from dbc_iac.cli.stacks import held_elsewhere
    from dbc_iac.importing.discover import find_unbound
    from dbc_iac.kinds.framework.cached_reader import CachedReader

    held = held_elsewhere(workspace)

    async def find(session: PlanContext) -> Findings:
        return await find_unbound(session, CachedReader(session.connect), held)

    return workspace.work(find, state)


@click.command("import")
@click.argument("address", required=False)
@click.argument("identity", metavar="ID", required=False)
@click.option("--all", "everything", is_flag=True, help="Everything that is on the machines and is nobody else's.")
@click.option(
    "--generate", type=click.Path(path_type=Path, file_okay=False), help="With --all: write manifests for it into here."
)
@click.option("--foreign", is_flag=True, help="Take over what another project or stack made, and manages no more.")
@json_option
@click.pass_obj
def import_(
    app: App,
    address: str | None,
    identity: str | None,
    everything: bool,
    generate: Path | None,
    foreign: bool,
    as_json: bool,
) -> None:
    """Take an object in: bind the document ADDRESS to what has ID (VM: task id, Disk: file, server: node id).

    With --all --generate DIR manifests are written for everything that is there; then a plan is empty. Image files are
    left: nothing tells whose they are.
    """
    from dbc_iac.cli.workspace import Workspace

    app.json = as_json
    if everything:
        if generate is None or address is not None or foreign:
            raise click.UsageError("--all needs --generate DIR, and neither ADDRESS nor --foreign")
        _import_all(app, generate)
        return
    if address is None or identity is None or generate is not None:
        raise click.UsageError("give ADDRESS and ID, or --all --generate DIR")
    workspace = Workspace.load(app)
    workspace.check().raise_errors()
    with workspace.locked("import"):
        after = _adopted(workspace, workspace.state(), {address: identity}, taken_over=foreign)
        workspace.store.commit(after)
    app.show(f"{address} is {identity} now. See what differs with `dbc-iac plan`.\n", {address: identity})


def _adopted(workspace: Workspace, before: State, wanted: dict[str, str], *, taken_over: bool) -> State:
    """The state with each document bound to its object: VMs first. Raises DiagnosticError."""
    from dataclasses import replace

    from dbc_iac.cli.stacks import held_elsewhere
    from dbc_iac.importing.bind import OtherStacks, adopt
    from dbc_iac.kinds import kind_of
    from dbc_iac.kinds.framework.cached_reader import CachedReader

    others = OtherStacks(held_elsewhere(workspace), taken_over)

    async def bind(session: PlanContext) -> State:
        state, reader = before, CachedReader(session.connect)
        for address, identity in sorted(wanted.items(), key=lambda w: bool(kind_of(w[0].partition("/")[0]).parent)):
            binding = await adopt(replace(session, state=state), address, identity, reader, others)
            state = state.with_binding(binding)
        return state

    after = workspace.work(bind, before)
    workspace.app.report(others.told)
    return after


def _import_all(app: App, folder: Path) -> None:
    """Write manifests, read them back as the project does, and bind what they describe."""
    from dbc_iac.cli.workspace import Workspace
    from dbc_iac.importing.discover import MAY_BE_TAKEN
    from dbc_iac.importing.generate import describable, manifests, name_documents

    workspace = Workspace.load(app)
    workspace.check().raise_errors()
    target = app.directory / folder
    check_folder(app, target)
    with workspace.locked("import"):
        before = workspace.state()
        findings = _found(workspace, before)
        ours = [f for f in findings.found if f.whose in MAY_BE_TAKEN and describable(f)]
        wanted = [f for f in ours if _has_host(f, findings, before)]
        documents = name_documents(wanted, frozenset(workspace.inventory.resources))
        files = manifests(documents, {b.id: a for a, b in before.bindings.items() if b.kind == "VirtualMachine"})
        _write_new(app, target, files)
        again = Workspace.load(app)
        missing = sorted(a for a in documents if a not in again.inventory.resources)
        if missing:
            raise _problem(
                "not-in-globs",
                f"{folder} is not among the project's manifests: {missing[0]} was written there and is not read",
                "Add it to `manifests` of the project file, or use a folder below them, and import again.",
            )
        again.check().raise_errors()
        workspace.store.commit(_adopted(again, before, {a: f.id for a, f in documents.items()}, taken_over=False))
    text = "".join(f"{a}  is {f.id}\n" for a, f in documents.items()) or "There is nothing to import.\n"
    app.show(text, {a: f.id for a, f in documents.items()})


def _has_host(one: UnmanagedObject, findings: Findings, before: State) -> bool:
    """What lives on a VM can be taken in only with that."""
    from dbc_iac.importing.discover import MAY_BE_TAKEN

    if not one.parent_id:
        return True
    ours = {f.id for f in findings.found if f.whose in MAY_BE_TAKEN}
    return one.parent_id in ours | {b.id for b in before.bindings.values()}


def _write_new(app: App, folder: Path, files: dict[str, str]) -> None:
    there = [name for name in files if os.path.lexists(folder / name)]
    if there:
        raise _problem("exists", f"{folder / there[0]} exists already", "Name another folder.")
    write_new_files(app, {folder / name: text for name, text in files.items()})


@click.command("mv")
@click.argument("source")
@click.argument("destination")
@json_option
@click.pass_obj
def state_mv(app: App, source: str, destination: str, as_json: bool) -> None:
    """Give what is bound to one address to another, after its document was renamed. Nothing is called."""
    from dbc_iac.cli.workspace import Workspace
    from dbc_iac.plan.decide.moved_blocks import move_binding

    app.json = as_json
    workspace = Workspace.load(app)
    with workspace.locked("state mv"):
        workspace.store.commit(move_binding(workspace.state(), source, destination))
    app.show(f"{destination} has what {source} had.\n", {"from": source, "to": destination})


@click.command("rm")
@click.argument("addresses", nargs=-1, required=True)
@yes_option
@json_option
@click.pass_obj
def state_rm(app: App, addresses: tuple[str, ...], yes: bool, as_json: bool) -> None:
    """Forget what is bound to addresses. The objects stay where they are, and are nobody's."""
    from dbc_iac.cli.workspace import Workspace

    app.json = as_json
    workspace = Workspace.load(app)
    with workspace.locked("state rm"):
        state = workspace.state()
        for address in addresses:
            if address not in state.bindings:
                raise _problem("not-in-state", f"{address} is not in the state", "See `dbc-iac state list`.")
            others = sorted(a for a, b in state.bindings.items() if b.parent == address and a not in addresses)
            if others:
                raise _problem("has-others", f"{others[0]} lives on {address}", "Name it, too.")
        if not yes:
            confirm(app, f"Forget {', '.join(addresses)}?")
        for address in addresses:
            state = state.without_binding(address)
        workspace.store.commit(state)
    app.show("".join(f"{a} is forgotten; what it was stays.\n" for a in addresses), list(addresses))


@click.command("rebuild")
@click.option("--map", "mapped", multiple=True, metavar="ADDRESS=ID", help="What cannot be proved: say it.")
@click.option("--new", multiple=True, metavar="ADDRESS", help="There is nothing yet that this document describes.")
@yes_option
@json_option
@click.pass_obj
def state_rebuild(app: App, mapped: tuple[str, ...], new: tuple[str, ...], yes: bool, as_json: bool) -> None:
    """Build a lost state anew, from what the API proves. What it cannot prove is asked for."""
    from dbc_iac.cli.stacks import held_elsewhere
    from dbc_iac.cli.workspace import Workspace
    from dbc_iac.importing.rebuild import Rebuilt, rebuild
    from dbc_iac.views.text.importing import rebuilt_text

    app.json = as_json
    answers = dict(text.partition("=")[::2] for text in mapped)
    if any(not v for v in answers.values()):
        raise click.UsageError("--map: expected ADDRESS=ID")
    if len(answers) < len(mapped) or answers.keys() & set(new):
        raise click.UsageError("one answer for an ADDRESS")
    workspace = Workspace.load(app)
    workspace.check().raise_errors()
    with workspace.locked("state rebuild"):
        held = held_elsewhere(workspace)

        async def build(session: PlanContext) -> Rebuilt:
            return await rebuild(session, answers, frozenset(new), held)

        rebuilt = workspace.work(build, workspace.state())
        shown = {"proofs": rebuilt.proofs, "open": rebuilt.open_questions, "new": list(rebuilt.new)}
        app.show(rebuilt_text(rebuilt), shown)
        if rebuilt.changed:
            if not yes:
                confirm(app, "Write this state?")
            workspace.store.commit(rebuilt.state)
    if rebuilt.open_questions:
        raise Exit(ExitCode.CHANGES_PENDING)


def confirm(app: App, question: str) -> None:
    """Ask on a terminal; without one --yes is needed. Raises DiagnosticError, Exit."""
    if not app.runtime.terminal:
        raise _problem("needs-yes", "there is no terminal to ask on", "Use --yes.")
    if not click.confirm(question):
        raise Exit(ExitCode.REFUSED)


def _problem(code: str, summary: str, remedy: str) -> DiagnosticError:
    return DiagnosticError(Diagnostic(code, Severity.ERROR, summary, remedy=remedy))


COMMANDS = (drift, orphans, import_)
STATE_COMMANDS = (state_mv, state_rm, state_rebuild)
