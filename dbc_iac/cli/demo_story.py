"""The demo: plan, apply, change, drift and destroy on the embedded emulator, in one process on a virtual clock.

Runs the commands that a user would type, and fails if one does not end as expected.
"""

from __future__ import annotations

import tempfile
from contextlib import chdir
from pathlib import Path

import click
from msgspec import Struct
from msgspec.structs import replace

from dbc_iac.cli.app import App, run_command
from dbc_iac.cli.runtime import CommandRuntime, ResilientStream
from dbc_iac.diagnostics import DiagnosticError, ExitCode, failure
from dbc_iac.emulator import Network, load_world
from dbc_iac.emulator.virtual_clock import close_loop, virtual_loop
from dbc_iac.manifest.scaffold import WORLD
from dbc_iac.operations.scaffold import write_project

PAGE = "dbc-iac-demo.html"
"""The page of the plan, which the demo writes into the current directory."""
_DISK = """---
apiVersion: dbc-iac/v1
kind: Disk
metadata: {name: scratch}
spec: {vm: trainer, size: 500Gi}
"""


def run_demo(app: App, group: click.Command) -> None:
    """Run the demo. Raises DiagnosticError if a step does not end as expected."""
    page = (app.directory / PAGE).resolve()
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        write_project(Path(), "demo", None)
        network, loop = Network(load_world(Path(WORLD))), virtual_loop()
        screen = {k: v for k, v in app.runtime.environ.items() if k in {"NO_COLOR", "TERM"}}
        runtime = replace(
            app.runtime,
            err=_Finished(app.runtime.err),
            environ={**screen, "XDG_CACHE_HOME": str(Path(folder) / "cache")},
            transport=network.transport,
            run=loop.run_until_complete,
            terminal=False,
        )
        try:
            _story(_Demo(group, runtime), network, page)
        finally:
            close_loop(loop)


class _Finished(ResilientStream):
    """Standard error without the beginnings of calls, whose ends follow at once on a virtual clock."""

    def write(self, text: str) -> int:
        return len(text) if "\u2026" in text else super().write(text)


class _Demo(Struct, frozen=True):
    """The commands of the demo, in the current directory."""

    group: click.Command
    runtime: CommandRuntime

    def act(self, title: str) -> None:
        self.runtime.print_lines([f"\n# {title}\n"])

    def step(self, expected: ExitCode, *arguments: str, shown: str = "") -> None:
        """Run one command. `shown`: its arguments as printed."""
        self.runtime.print_lines([f"$ dbc-iac {shown or ' '.join(arguments)}"])
        code = run_command(self.group, arguments, self.runtime)
        if code is not expected:
            raise _failed(f"`dbc-iac {' '.join(arguments)}` exited with {code}, not {expected}")

    def edit(self, old: str, new: str) -> None:
        manifest = Path("manifests/example.yaml")
        manifest.write_text(manifest.read_text().replace(old, new) + _DISK)


def _story(demo: _Demo, network: Network, page: Path) -> None:
    [node] = network.nodes.values()
    demo.runtime.print_lines(
        ["One VM on an emulated GPU machine with a virtual clock, from the project that `init` writes."]
    )
    demo.act("1. Plan: what an apply would do. The plan is kept in a file, and as a page.")
    arguments = ("plan", "-o", "the.plan", "--html")
    demo.step(ExitCode.OK, *arguments, str(page), shown=" ".join((*arguments, PAGE)))
    demo.act("2. Apply exactly that plan. A second plan is empty.")
    demo.step(ExitCode.OK, "apply", "the.plan")
    demo.step(ExitCode.OK, "plan", "--detailed-exitcode")
    demo.act("3. Change: a GPU and a disk share one power-off window. Drift: somebody has opened the firewall.")
    demo.edit("gpus: 1", "gpus: 2")
    node.admin.change_vm(next(iter(node.truth()["vms"])), network_filters=["in,all,all,0.0.0.0/0,accept"])
    demo.step(ExitCode.OK, "apply", "--yes")
    demo.act("4. Destroy.")
    demo.step(ExitCode.OK, "destroy", "--yes")
    if left := len(node.truth()["vms"]):
        raise _failed(f"{left} objects remain on the emulated machine")
    demo.runtime.print_lines([f"\nDemo complete: no objects remain. The page of the first plan: {page}"])


def _failed(summary: str) -> DiagnosticError:
    return failure("demo-failed", summary, exit_code=ExitCode.ERROR)
