"""`graph`: what depends on what, of the manifests or of a plan, as text for other programs or drawn."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from dbc_iac.cli.app import App
from dbc_iac.cli.options import json_option
from dbc_iac.cli.output_files import check_outputs, loaded_quietly
from dbc_iac.cli.plan_output import write_output
from dbc_iac.diagnostics import Diagnostic, DiagnosticError, Severity

if TYPE_CHECKING:
    from dbc_iac.views.graph import Graph


@click.command("graph")
@click.argument("file", required=False, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--format", "form", type=click.Choice(["dot", "mermaid", "svg"]), default="dot", show_default=True)
@click.option("-o", "output", type=click.Path(path_type=Path, dir_okay=False), help="Write it here.")
@click.option("--full", is_flag=True, help="Draw every resource, where there are many, too.")
@json_option
@click.pass_obj
def command(app: App, /, file: Path | None, form: str, output: Path | None, full: bool, as_json: bool) -> None:
    """Show what depends on what: in the manifests, or in the plan FILE. Needs no credentials and no network."""
    from dbc_iac.views.graph import by_machine

    app.json = as_json
    if output is not None:
        check_outputs(app, {"output": output}, loaded_quietly(app), (file,))
    whole = _of_plan(app, file) if file is not None else _of_documents(app)
    shown = whole if full else by_machine(whole)
    text = _drawn(shown, form)
    vertices = [{"address": v.key, "action": v.action, "machine": v.machine, "count": v.count} for v in shown.vertices]
    if output is not None:
        write_output(output, text)
        text = f"wrote {output}"
    app.show(text, {"vertices": vertices, "edges": [list(edge) for edge in shown.edges]})


def _of_plan(app: App, file: Path) -> Graph:
    from dbc_iac.cli.plan_files import read_plan_file
    from dbc_iac.cli.workspace import Workspace
    from dbc_iac.views.graph import plan_graph

    return plan_graph(read_plan_file(file, keys=lambda: Workspace.load(app).keyring))


def _of_documents(app: App) -> Graph:
    from dbc_iac.cli.workspace import Workspace
    from dbc_iac.kinds import kind_of
    from dbc_iac.plan.check.file_dependencies import implicit_dependencies
    from dbc_iac.plan.check.references import dependencies
    from dbc_iac.views.graph import documents_graph

    workspace = Workspace.load(app)
    workspace.check().raise_errors()
    inventory = workspace.inventory
    found = inventory.resources
    machines = {
        address: kind_of(resource.kind).route(resource, inventory).name
        for address, resource in found.items()
        if not kind_of(resource.kind).read_only
    }
    files = implicit_dependencies(inventory)
    edges = {a: (*dependencies(r, inventory), *sorted(files.get(a, ()))) for a, r in found.items()}
    return documents_graph({a: tuple(dict.fromkeys(needed)) for a, needed in edges.items()}, machines)


def _drawn(graph: Graph, form: str) -> str:
    from dbc_iac.views.graph import dot, mermaid
    from dbc_iac.views.html.layout import can_lay_out

    if form == "dot":
        return dot(graph)
    if form == "mermaid":
        return mermaid(graph)
    if not can_lay_out():
        raise DiagnosticError(
            Diagnostic(
                "extra-missing",
                Severity.ERROR,
                "a graph cannot be drawn: igraph is not installed",
                remedy="Install it with: pip install 'dbc-iac[graph]'; or use --format dot.",
            )
        )
    from dbc_iac.views.html.drawing import svg

    return svg(graph)
