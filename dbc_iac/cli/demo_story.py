"""The demo: plan, apply, drift, repair and destroy on the embedded emulator, in one process on a virtual clock.

Runs the commands that a user would type, and fails if one does not end as expected.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import click

from dbc_iac.cli.app import App, run_command
from dbc_iac.cli.runtime import CommandRuntime
from dbc_iac.diagnostics import Diagnostic, DiagnosticError, ExitCode, Severity
from dbc_iac.emulator import Network, load_world
from dbc_iac.emulator.virtual_clock import close_loop, virtual_loop

EXAMPLE = "training-cluster"


def example_directory(name: str) -> Path:
    """The folder of an example: installed with the package, else in the source tree."""
    beside = Path(__file__).parent / "examples" / name
    return beside if beside.is_dir() else Path(__file__).parents[2] / "examples" / name


def run_demo(app: App, group: click.Command) -> None:
    """Run the demo. Raises DiagnosticError if a step does not end as expected."""
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


def _story(runtime: CommandRuntime, step: Callable[..., None], network: Network) -> None:
    show = runtime.print_out
    show("Three GPU nodes, a LAN, three VMs and three disks, on an emulated DBC network with a virtual clock.\n")
    step(ExitCode.CHANGES_PENDING, "plan", "--detailed-exitcode")
    step(ExitCode.OK, "apply", "--yes")
    show("# A second plan is empty:")
    step(ExitCode.OK, "plan", "--detailed-exitcode")
    show("# Outside dbc-iac, one VM is powered off, and the firewall of another is opened.\n")
    first, second, _ = network.nodes.values()
    first.admin.power_off(next(iter(first.truth()["vms"])))
    second.admin.change_vm(next(iter(second.truth()["vms"])), network_filters=["in,all,all,0.0.0.0/0,accept"])
    step(ExitCode.CHANGES_PENDING, "plan", "--detailed-exitcode")
    step(ExitCode.OK, "apply", "--yes")
    step(ExitCode.OK, "plan", "--detailed-exitcode")
    step(ExitCode.OK, "destroy", "--yes")
    left = sum(len(n.truth()["vms"]) + len(n.truth()["lans"]) for n in network.nodes.values())
    if left:
        raise _failed(f"{left} objects remain on the emulated nodes")
    show("Demo complete: no objects remain on the emulated nodes.")


def _step(group: click.Command, runtime: CommandRuntime, project: Path, expected: ExitCode, *arguments: str) -> None:
    runtime.print_out(f"$ dbc-iac -e dev {' '.join(arguments)}")
    code = run_command(group, ["-C", str(project), "-e", "dev", *arguments], runtime)
    runtime.print_out("")
    if code is not expected:
        raise _failed(f"`dbc-iac {' '.join(arguments)}` exited with {code}, not {expected}")


def _failed(summary: str) -> DiagnosticError:
    return DiagnosticError(Diagnostic("demo-failed", Severity.ERROR, summary, exit_code=ExitCode.ERROR))
