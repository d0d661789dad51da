"""The main job on the embedded emulator, in one process on a virtual clock: plan, apply, nothing left, drift, repair,
destroy. Runs the commands that a user would type, and fails where one does not do what it promises."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dbc_iac.cli.app import App, run_command
from dbc_iac.cli.runtime import Runtime
from dbc_iac.diagnostics import Diagnostic, DiagnosticError, ExitCode, Severity

if TYPE_CHECKING:
    from dbc_iac.emulator import Network

EXAMPLE = "training-cluster"


def example_directory(name: str) -> Path:
    """An example's folder: beside the package where it was installed, else in the source tree."""
    beside = Path(__file__).parent / "examples" / name
    return beside if beside.is_dir() else Path(__file__).parents[2] / "examples" / name


def run_demo(app: App, group: click.Command) -> None:
    """Raises DiagnosticError where a step does not end as it must."""
    from dbc_iac.cli.virtual_clock import close_loop, virtual_loop
    from dbc_iac.emulator import Network, load_world

    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / EXAMPLE
        shutil.copytree(example_directory(EXAMPLE), project)
        world = load_world(project / "world.yaml")
        network, loop = Network(world), virtual_loop()
        screen = {k: v for k, v in app.runtime.environ.items() if k in {"NO_COLOR", "TERM"}}
        environ = {**screen, "DBC_WALLET_SEED": world.wallets[0].seed, "XDG_CACHE_HOME": str(Path(folder) / "cache")}
        runtime = replace(
            app.runtime, environ=environ, transport=network.transport, run=loop.run_until_complete, terminal=False
        )
        try:
            _story(app.runtime, lambda *a: _step(group, runtime, project, *a), network)
        finally:
            close_loop(loop)


def _story(runtime: Runtime, step: Callable[..., None], network: Network) -> None:
    say = runtime.say
    say("Three GPU nodes, a LAN, three VMs and three disks, on an emulated DBC network with a virtual clock.\n")
    step(ExitCode.CHANGES_PENDING, "plan", "--detailed-exitcode")
    step(ExitCode.OK, "apply", "--yes")
    say("# Nothing is left to do:")
    step(ExitCode.OK, "plan", "--detailed-exitcode")
    say("# Somebody powers off one VM and opens another one's firewall, behind our back.\n")
    first, second, _ = network.nodes.values()
    first.admin.power_off(next(iter(first.truth()["vms"])))
    second.admin.change_vm(next(iter(second.truth()["vms"])), network_filters=["in,all,all,0.0.0.0/0,accept"])
    step(ExitCode.CHANGES_PENDING, "plan", "--detailed-exitcode")
    step(ExitCode.OK, "apply", "--yes")
    step(ExitCode.OK, "plan", "--detailed-exitcode")
    step(ExitCode.OK, "destroy", "--yes")
    left = sum(len(n.truth()["vms"]) + len(n.truth()["lans"]) for n in network.nodes.values())
    if left:
        raise _failed(f"{left} objects are left on the emulated nodes")
    say("Nothing is left on the emulated nodes. That was the main job.")


def _step(group: click.Command, runtime: Runtime, project: Path, expected: ExitCode, *arguments: str) -> None:
    runtime.say(f"$ dbc-iac -e dev {' '.join(arguments)}")
    code = run_command(group, ["-C", str(project), "-e", "dev", *arguments], runtime)
    runtime.say("")
    if code is not expected:
        raise _failed(f"`dbc-iac {' '.join(arguments)}` ended with {code}, not {expected}")


def _failed(summary: str) -> DiagnosticError:
    return DiagnosticError(Diagnostic("demo-failed", Severity.ERROR, summary, exit_code=ExitCode.ERROR))
