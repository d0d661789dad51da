"""The dependency graph of the manifests, or of a plan."""

from __future__ import annotations

from dbc_iac.kinds import kind_of
from dbc_iac.operations.project import Project
from dbc_iac.plan.dependencies import dependencies, implicit_dependencies
from dbc_iac.views.graph import Graph, documents_graph


def manifests_graph(project: Project) -> Graph:
    """The resources of the manifests and what each depends on. Raises DiagnosticError."""
    project.check().raise_errors()
    inventory = project.inventory
    found = inventory.resources
    machines = {
        address: kind_of(resource.kind).route(resource, inventory).name
        for address, resource in found.items()
        if not kind_of(resource.kind).read_only
    }
    files = implicit_dependencies(inventory)
    edges = {a: (*dependencies(r, inventory), *sorted(files.get(a, ()))) for a, r in found.items()}
    return documents_graph({a: tuple(dict.fromkeys(needed)) for a, needed in edges.items()}, machines)
