"""The commands and their options. Each reads its arguments, makes one call, and reports."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dbc_iac.cli import backend_factory, encryption, projects, recovery, state_transfer
from dbc_iac.cli.app import App, Exit
from dbc_iac.cli.approval import Approval, approved
from dbc_iac.cli.lazy import LazyGroup, epilog
from dbc_iac.cli.options import (
    PERCENT,
    addresses,
    choice_options,
    environments,
    json_option,
    lock_option,
    target_option,
    yes_option,
)
from dbc_iac.cli.output_files import check_outputs, loaded_quietly
from dbc_iac.cli.plan_output import failure_told, follow_options, plan_output_options, refuse, show_plan, write_outputs
from dbc_iac.diagnostics import Diagnostic, DiagnosticError, ExitCode, Severity
from dbc_iac.manifest.trust import UNTRUSTED

if TYPE_CHECKING:
    from dbc_iac.apply import ApplyOptions
    from dbc_iac.cli.workspace import Workspace
    from dbc_iac.plan import Plan, PlanOptions


def _stack_name(context: click.Context, option: click.Parameter, name: str) -> str:
    """It becomes a file name and a part of the marker of each VM."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,41}", name):
        raise click.BadParameter("a stack is named with letters, digits, _ and -, at most 42", context, option)
    return name


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=epilog(("init --name lab", "plan", "-e prod --stack blue apply --yes", "-C infra drift --json")),
)
@click.option(
    "-C", "directory", default=".", type=click.Path(path_type=Path, file_okay=False), help="Project directory."
)
@click.option(
    "-e",
    "--environment",
    default="",
    shell_complete=environments,
    help="Environment whose variable files are used, such as prod.",
)
@click.option(
    "--stack", default="main", show_default=True, callback=_stack_name, help="Name of the stack: one state, one lock."
)
@click.option("--var", "variables", multiple=True, metavar="NAME=VALUE", help="Value of a variable.")
@click.option(
    "--var-file",
    "files",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="YAML file of variables.",
)
@click.option(
    "--no-exec",
    is_flag=True,
    help="For a project that nobody reviewed: run no programs, read no secrets, reach no network.",
)
@click.version_option(package_name="dbc-iac")
@click.pass_obj
def dbc_iac(
    app: App,
    /,
    directory: Path,
    environment: str,
    stack: str,
    variables: tuple[str, ...],
    files: tuple[Path, ...],
    no_exec: bool,
) -> None:
    """Declarative infrastructure on DeepBrainChain GPU machines.

    Write manifests, look at the plan, apply it: `dbc-iac init`, `dbc-iac plan`, `dbc-iac apply`.
    """
    app.directory, app.environment, app.stack, app.variable_files = directory, environment, stack, files
    if no_exec:
        app.runtime = replace(app.runtime, environ={**app.runtime.environ, UNTRUSTED: "1"})
    for text in variables:
        name, equals, value = text.partition("=")
        if not equals:
            raise click.UsageError(f"--var {text}: expected NAME=VALUE")
        app.variables[name] = value


def _options(destroy: bool, targets: tuple[str, ...], rails: dict[str, object]) -> PlanOptions:
    from dbc_iac.plan import PlanOptions

    return PlanOptions(
        destroy=destroy,
        targets=frozenset(targets),
        excludes=_addresses(rails.get("exclude")),
        offline=rails.get("refresh") is False,
        forget_expired=bool(rails.get("forget_expired")),
        replace=_addresses(rails.get("replace")),
        destroy_identity=_addresses(rails.get("destroy_identity")),
        unprotect=_addresses(rails.get("unprotect")),
        allow_empty=bool(rails.get("allow_empty")),
        max_removals=None if rails.get("max_removals") is None else int(str(rails["max_removals"])),
    )


def _addresses(value: object) -> frozenset[str]:
    return frozenset(value if isinstance(value, tuple) else ())


def _addressed(name: str, told: str) -> click.Option:
    return click.Option([name], multiple=True, metavar="ADDRESS", help=told, shell_complete=addresses)


def _rail_options(command: click.Command) -> click.Command:
    """The options that lift a rail, the same for plan, apply and destroy."""
    command.params += [
        _addressed("--exclude", "Leave this, and what needs it."),
        _addressed("--replace", "Make this resource anew."),
        click.Option(["--forget-expired"], is_flag=True, help="Forget what is on machines not rented any more."),
        _addressed("--destroy-identity", "Delete this server's identity."),
        _addressed("--unprotect", "Delete or replace this though preventDestroy protects it."),
        click.Option(["--allow-empty"], is_flag=True, help="Allow manifests that hold nothing."),
        click.Option(
            ["--max-removals"],
            type=PERCENT,
            metavar="PERCENT",
            help="Maximum share of resources that may be removed, in percent; default: the project's.",
        ),
    ]
    return command


@plan_output_options
@_rail_options
@dbc_iac.command()
@click.option("-o", "file", type=click.Path(path_type=Path, dir_okay=False), help="Write the plan to a file.")
@click.option(
    "--signing-key", "key", type=click.Path(path_type=Path, dir_okay=False),
    help="Sign the plan file with this private key; default: the key in DBC_IAC_SIGNING_KEY, if set.",
)  # fmt: skip
@click.option("--destroy", is_flag=True, help="Plan the removal of everything.")
@click.option("--detailed-exitcode", is_flag=True, help="End with 2 where changes are pending.")
@click.option(
    "--refresh", type=bool, default=True, metavar="BOOLEAN", help="false: plan from the state, without asking the API."
)
@click.option(
    "--state", "copy", type=click.Path(path_type=Path, dir_okay=False),
    help="With --refresh=false: plan from this copy of the state (of `state pull`), and look at no other.",
)  # fmt: skip
@target_option
@lock_option
@json_option
@click.pass_obj
def plan(
    app: App,
    /,
    file: Path | None,
    key: Path | None,
    destroy: bool,
    detailed_exitcode: bool,
    refresh: bool,
    copy: Path | None,
    targets: tuple[str, ...],
    lock_timeout: float,
    as_json: bool,
    **rails: object,
) -> None:
    """Show what differs, what would be called, and what it disturbs."""
    from dbc_iac.cli.workspace import Workspace

    app.json = as_json
    with failure_told(app, rails):
        workspace = Workspace.load(app)
    check_outputs(app, {"file": file, **rails}, workspace.loaded, (key, copy))
    with failure_told(app, rails):
        if copy is not None:
            state_transfer.look_at(workspace, copy, refresh=refresh)
        with workspace.locked("plan", lock_timeout) if refresh else nullcontext():  # else nothing is written
            made = workspace.plan(_options(destroy, targets, {**rails, "refresh": refresh}))
    app.report(made.diagnostics)
    if file is not None and not refresh:
        raise DiagnosticError(
            Diagnostic(
                "plan-not-fresh",
                Severity.ERROR,
                "a plan that was made from the state alone cannot be kept for an apply",
                remedy="Leave out -o, or --refresh=false.",
            )
        )
    if file is not None:
        from dbc_iac.cli.plan_files import signing_key, write_plan_file

        write_plan_file(made, file, signing_key(key, app.runtime.environ), workspace.keyring)
    show_plan(app, made, rails, app.redaction(made).to_json())
    refuse(made)
    if made.exit_code is not ExitCode.OK:
        raise Exit(made.exit_code)
    if detailed_exitcode and not made.empty:
        raise Exit(ExitCode.CHANGES_PENDING)


@follow_options
@plan_output_options
@_rail_options
@dbc_iac.command()
@click.argument("file", required=False, type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--expect", "reviewed", type=click.Path(path_type=Path, dir_okay=False),
    help="Plan anew, and go on only if that is the reviewed plan of this file.",
)  # fmt: skip
@click.option("--allow-data-loss", "lossy", is_flag=True, help="With --yes: disks and data files may go, too.")
@target_option
@yes_option
@lock_option
@choice_options
@json_option
@click.pass_obj
def apply(
    app: App,
    /,
    file: Path | None,
    reviewed: Path | None,
    lossy: bool,
    targets: tuple[str, ...],
    yes: bool,
    lock_timeout: float,
    wait_timeout: float | None,
    no_wait: bool,
    settle: bool,
    as_json: bool,
    **rails: object,
) -> None:
    """Make it so: plan, ask, apply. With FILE, apply exactly that plan, without a question."""
    from dbc_iac.apply import ApplyOptions
    from dbc_iac.cli.workspace import Workspace

    app.json = as_json
    options = _options(False, targets, rails)
    if file is not None and reviewed is not None:
        raise click.UsageError("FILE is applied as it is; --expect plans anew: give one of them")
    if (file or reviewed) and options != _options(False, (), {}):
        raise DiagnosticError(
            Diagnostic(
                "plan-is-made",
                Severity.ERROR,
                "a plan FILE is applied as it is, with what was chosen when it was made",
                remedy="Give the options to `dbc-iac plan -o FILE`.",
            )
        )
    workspace = Workspace.load(app)
    check_outputs(app, rails, workspace.loaded, (file, reviewed))
    with workspace.locked("apply", lock_timeout):
        if reviewed is not None:
            made = workspace.expected(reviewed)
        else:
            made = workspace.plan(options) if file is None else workspace.planned(file)
        consent = Approval.of(yes=yes or file is not None, losses=lossy or bool(file or reviewed))
        _confirm_and_apply(app, workspace, made, consent, ApplyOptions(wait_timeout, not no_wait, settle), rails)


@follow_options
@plan_output_options
@_rail_options
@dbc_iac.command()
@target_option
@yes_option
@lock_option
@choice_options
@json_option
@click.pass_obj
def destroy(
    app: App,
    /,
    targets: tuple[str, ...],
    yes: bool,
    lock_timeout: float,
    wait_timeout: float | None,
    no_wait: bool,
    settle: bool,
    as_json: bool,
    **rails: object,
) -> None:
    """Remove everything that is in the state."""
    from dbc_iac.apply import ApplyOptions
    from dbc_iac.cli.workspace import Workspace

    app.json = as_json
    workspace = Workspace.load(app)
    check_outputs(app, rails, workspace.loaded)
    with workspace.locked("destroy", lock_timeout):
        made = workspace.plan(_options(True, targets, rails))
        consent = Approval.of(yes=yes, losses=True)
        _confirm_and_apply(app, workspace, made, consent, ApplyOptions(wait_timeout, not no_wait, settle), rails)


def _confirm_and_apply(
    app: App, workspace: Workspace, made: Plan, consent: Approval, choices: ApplyOptions, chosen: Mapping[str, object]
) -> None:
    from dbc_iac.cli.progress_reporting import ProgressReporter, write_report
    from dbc_iac.views.text.apply import report_json, report_lines

    following = ProgressReporter.of(app, chosen)
    app.report(made.diagnostics)
    if app.json:
        write_outputs(app, made, chosen)
    else:
        show_plan(app, made, chosen, None)
    shown = app.redaction(made).to_json()
    refuse(made)
    if made.empty:
        workspace.settle(made)
        if app.json:
            app.show("", {"plan": shown, "report": None})
        raise Exit(made.exit_code)
    approved(app, made, consent)
    report = app.redaction(workspace.apply(made, choices, following))
    following.end(report)
    app.report(report.diagnostics)
    written = write_report(app, report, chosen)
    app.show_lines(report_lines(report), {"plan": shown, "report": report_json(report)})
    raise Exit(max(report.exit_code, written))


@plan_output_options
@dbc_iac.command()
@click.argument("file", required=False, type=click.Path(path_type=Path, dir_okay=False))
@json_option
@click.pass_obj
def show(app: App, /, file: Path | None, as_json: bool, **chosen: object) -> None:
    """Show the state, or what is in FILE: a plan, or a copy of a state."""
    from dbc_iac.cli.plan_files import read_plan_file
    from dbc_iac.cli.plan_output import state_file
    from dbc_iac.cli.workspace import Workspace
    from dbc_iac.views.text.state import state_pages

    app.json = as_json
    if any(chosen.values()):
        check_outputs(app, chosen, loaded_quietly(app), (file,))
    state = Workspace.load(app).recorded() if file is None else state_file(file, lambda: Workspace.load(app).keyring)
    if file is not None and state is None:
        made = read_plan_file(file, keys=lambda: Workspace.load(app).keyring)
        show_plan(app, made, chosen, app.redaction(made).to_json())
        return
    assert state is not None  # noqa: S101 - it is a plan, or a state
    shown = app.redaction([*state_pages(state)])
    app.show_lines(shown, app.redaction(state.model_dump(mode="json", by_alias=True)))


@dbc_iac.group()
def state() -> None:
    """Look at the state, mend, copy, move and encrypt it."""


@state.command("list")
@json_option
@click.pass_obj
def state_list(app: App, as_json: bool) -> None:
    """One line for each resource that is in the state."""
    from dbc_iac.cli.workspace import Workspace
    from dbc_iac.views.text.state import state_lines

    app.json = as_json
    found = Workspace.load(app).recorded()
    app.show_lines(state_lines(found), sorted(found.bindings))


@state.command("show")
@click.argument("address", shell_complete=addresses)
@json_option
@click.pass_obj
def state_show(app: App, address: str, as_json: bool) -> None:
    """All that the state holds of one resource."""
    from dbc_iac.cli.workspace import Workspace
    from dbc_iac.views.text.state import binding_lines

    app.json = as_json
    bindings = Workspace.load(app).recorded().bindings
    if address not in bindings:
        raise DiagnosticError(
            Diagnostic("not-in-state", Severity.ERROR, f"{address} is not in the state", remedy="See `state list`.")
        )
    binding = bindings[address]
    shown = app.redaction([*binding_lines(binding)])
    app.show_lines(shown, app.redaction(binding.model_dump(mode="json", by_alias=True)))


for _command in (*projects.COMMANDS, *recovery.COMMANDS):
    dbc_iac.add_command(_command)
for _command in (*recovery.STATE_COMMANDS, *state_transfer.COMMANDS, *backend_factory.COMMANDS, *encryption.COMMANDS):
    state.add_command(_command)
