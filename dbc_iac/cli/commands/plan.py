"""`plan`: compare the manifests with the API, and show what an apply would do."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import click
from msgspec.structs import replace

from dbc_iac.cli.app import App
from dbc_iac.cli.options import FILE, PlanOutput
from dbc_iac.cli.output_files import check_outputs
from dbc_iac.cli.plan_output import failure_shown, report_diagnostics, show_plan
from dbc_iac.cli.selection import planning_options
from dbc_iac.diagnostics import ExitCode, failure
from dbc_iac.operations.plan import plan_now
from dbc_iac.operations.state_copies import use_copy
from dbc_iac.plan import PlanOptions


@click.command("plan")
@click.option("-o", "file", type=FILE, help="Write the plan to a file, for `apply FILE`.")
@click.option(
    "--signing-key", "key", type=FILE,
    help="Sign the plan file with this private key; default: the key in DBC_IAC_SIGNING_KEY, if set.",
)  # fmt: skip
@click.option("--destroy", is_flag=True, help="Plan the deletion of all resources.")
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 2 if there are changes.")
@click.option(
    "--refresh", type=bool, default=True, metavar="BOOLEAN",
    help="false: plan from the state, without reading the API.",
)  # fmt: skip
@click.option(
    "--state", "copy", type=FILE, help="With --refresh=false: plan from this copy of the state (from `state pull`)."
)
@planning_options()
@click.pass_obj
def command(
    app: App,
    /,
    file: Path | None,
    key: Path | None,
    destroy: bool,
    detailed_exitcode: bool,
    refresh: bool,
    copy: Path | None,
    selection: PlanOptions,
    output: PlanOutput,
    lock_timeout: float,
) -> None:
    """Show the changes that an apply would make. Includes their disruption and data loss."""
    if copy is not None and refresh:
        raise click.UsageError("--state needs --refresh=false: an apply cannot start from a copy of the state")
    with failure_shown(app, output):
        project = app.project()
    if files := {**({"-o": file} if file else {}), **output.files}:
        check_outputs(app, files, project.loaded, (key, copy))
    with failure_shown(app, output):
        if copy is not None:
            use_copy(project, copy)
        # Without a refresh nothing is written, and a running apply is not waited for.
        with project.locked("plan", lock_timeout) if refresh else nullcontext():
            plan = plan_now(project, replace(selection, destroy=destroy, offline=not refresh)).plan
    report_diagnostics(app, plan)
    if file is not None and not refresh:
        summary = "cannot write a plan file with --refresh=false"
        detail = "Such a plan is made from the state alone, and must not be applied."
        raise failure("plan-not-fresh", summary, detail, "Remove -o or --refresh=false.")
    if file is not None:
        project.save_plan(plan, file, signing_key=key)
    show_plan(app, plan, output, reported=True)
    if plan.exit_code is not ExitCode.OK:
        raise click.exceptions.Exit(plan.exit_code)
    if file is not None and not app.json:
        app.show(f"\nSaved the plan to {file}. Apply it with: {app.command_line('apply', str(file))}", None)
    if detailed_exitcode and not plan.empty:
        raise click.exceptions.Exit(ExitCode.CHANGES_PENDING)
