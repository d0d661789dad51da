"""`graph`: the dependency graph of the manifests or of a plan."""

from __future__ import annotations

from pathlib import Path

import click

from dbc_iac.cli.app import App
from dbc_iac.cli.options import FILE, json_option
from dbc_iac.cli.output_files import check_outputs, loaded_quietly, write_output
from dbc_iac.diagnostics import failure
from dbc_iac.operations.graph import manifests_graph
from dbc_iac.operations.plan_files import read_plan_file
from dbc_iac.views.graph import Graph, by_machine, dot, mermaid, plan_graph
from dbc_iac.views.html.layout import can_lay_out


@click.command("graph")
@click.argument("file", required=False, type=FILE)
@click.option("--format", "form", type=click.Choice(["dot", "mermaid", "svg"]), default="dot", show_default=True)
@click.option("-o", "output", type=FILE, help="Write the graph to this file.")
@click.option("--full", is_flag=True, help="Draw every resource of a large graph.")
@json_option
@click.pass_obj
def command(app: App, /, file: Path | None, form: str, output: Path | None, full: bool) -> None:
    """Show the graph of dependencies. Of the manifests, or of the plan FILE; needs no credentials and no network."""
    if output is not None:
        check_outputs(app, {"-o": output}, loaded_quietly(app), (file,))
    if file is None:
        whole = manifests_graph(app.project())
    else:
        whole = plan_graph(read_plan_file(file, lambda: app.project().keyring))
    shown = whole if full else by_machine(whole)
    text = _drawn(shown, form)
    vertices = [{"address": v.key, "action": v.action, "machine": v.machine, "count": v.count} for v in shown.vertices]
    if output is not None:
        write_output(output, text)
        text = f"wrote {output}"
    app.show(text, {"vertices": vertices, "edges": [list(edge) for edge in shown.edges]})


def _drawn(graph: Graph, form: str) -> str:
    if form == "dot":
        return dot(graph)
    if form == "mermaid":
        return mermaid(graph)
    if not can_lay_out():
        summary = "--format svg needs the package igraph"
        remedy = "Install it with: pip install 'dbc-iac[graph]', or use --format dot."
        raise failure("extra-missing", summary, remedy=remedy)
    from dbc_iac.views.html.drawing import svg

    return svg(graph)
