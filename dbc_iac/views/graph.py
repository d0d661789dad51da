"""Dependency graphs of plans and manifests, as values, DOT and Mermaid. No I/O.

An edge points from a resource to those that depend on it: the order of creation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct

from dbc_iac.address import Address
from dbc_iac.plan.model import Action, Plan
from dbc_iac.views.wording import count

MAX = 60
"""Number of resources up to which each is drawn; larger graphs are grouped by machine."""


class Vertex(Struct, frozen=True):
    """A resource, or a machine with its resources. `action`: empty if unchanged; `machine`: address of its Node, empty
    without one; `count`: number of resources."""

    key: str
    title: str
    detail: str = ""
    action: str = ""
    machine: str = ""
    count: int = 1


class Graph(Struct, frozen=True):
    """Vertices in order, and edges between their keys."""

    vertices: tuple[Vertex, ...] = ()
    edges: tuple[tuple[str, str], ...] = ()


def plan_graph(plan: Plan) -> Graph:
    """Graph of the changes of a plan and their dependencies."""
    shown = [c for c in plan.changes if c.action is not Action.NO_OP]
    known = {c.address: c for c in plan.changes}
    needs = {c.address: _needs(*c.dependencies, c.placement.parent, c.old_placement.parent) for c in shown}
    context = [a for needed in needs.values() for a in needed if a not in needs]
    vertices = [_vertex(c.address, c.placement.node, c.action.value) for c in shown]
    for address in dict.fromkeys(context):
        vertices.append(_vertex(address, known[address].placement.node if address in known else ""))
    return Graph(tuple(vertices), tuple((there, here) for here, needed in needs.items() for there in needed))


def documents_graph(needs: Mapping[str, Iterable[str]], machines: Mapping[str, str]) -> Graph:
    """Graph of the resources of a project, with the machine of each."""
    vertices = tuple(_vertex(address, machines.get(address, "")) for address in needs)
    return Graph(vertices, tuple((there, here) for here, needed in needs.items() for there in needed if there in needs))


def _needs(*addresses: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(a for a in addresses if a))


def _vertex(address: str, machine: str, action: str = "") -> Vertex:
    kind, name = Address(address).kind, Address(address).label
    return Vertex(address, name, kind, action, machine)


def by_machine(graph: Graph, most: int = MAX) -> Graph:
    """The graph itself; a large one grouped by machine, and by kind for resources on no machine."""
    if len(graph.vertices) <= most:
        return graph
    machines = {v.machine for v in graph.vertices}
    group = {v.key: v.key if v.key in machines else v.machine or f"{v.detail}/*" for v in graph.vertices}
    members: dict[str, list[Vertex]] = {}
    for vertex in graph.vertices:
        members.setdefault(group[vertex.key], []).append(vertex)
    edges = dict.fromkeys((group[a], group[b]) for a, b in graph.edges if group[a] != group[b])
    return Graph(tuple(_machine(key, inside) for key, inside in members.items()), tuple(edges))


def _machine(key: str, inside: list[Vertex]) -> Vertex:
    actions = Counter(v.action for v in inside if v.action)
    text = ", ".join(f"{number:,} {action}" for action, number in actions.most_common()) or count(
        len(inside), "resource"
    )
    action = next(iter(actions)) if len(actions) == 1 else "several" if actions else ""
    return Vertex(key, key.removesuffix("/*").rpartition("/")[2], text, action, key, len(inside))


def dot(graph: Graph) -> str:
    """For Graphviz."""
    return "\n".join(_dot(graph)) + "\n"


def _dot(graph: Graph) -> Iterator[str]:
    yield "digraph {"
    yield "  rankdir=LR;"
    yield '  node [shape=box, style="rounded,filled", fillcolor=white, fontname="sans-serif"];'
    for vertex in graph.vertices:
        colour = f', color="{COLOURS[vertex.action]}", penwidth=2' if vertex.action in COLOURS else ""
        label = f"{vertex.title}\n{second(vertex)}"
        yield f"  {_quoted(vertex.key)} [label={_quoted(label)}{colour}];"
    yield from (f"  {_quoted(a)} -> {_quoted(b)};" for a, b in graph.edges)
    yield "}"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def second(vertex: Vertex) -> str:
    """The second line of a box."""
    if vertex.count > 1 or not vertex.action:
        return vertex.detail
    return f"{vertex.detail}: {vertex.action}"


def mermaid(graph: Graph) -> str:
    """For Markdown of forges that draw it."""
    return "\n".join(_mermaid(graph)) + "\n"


def _mermaid(graph: Graph) -> Iterator[str]:
    yield "flowchart LR"
    names = {v.key: f"n{number}" for number, v in enumerate(graph.vertices)}
    for vertex in graph.vertices:
        label = f"{vertex.title}<br/>{second(vertex)}".replace('"', "#quot;")
        yield f'  {names[vertex.key]}["{label}"]' + (f":::{vertex.action}" if vertex.action in COLOURS else "")
    yield from (f"  {names[a]} --> {names[b]}" for a, b in graph.edges)
    used = dict.fromkeys(v.action for v in graph.vertices if v.action in COLOURS)
    yield from (f"  classDef {action} stroke:{COLOURS[action]},stroke-width:2px" for action in used)


COLOURS = {
    "create": "#1a7f37",
    "update": "#9a6700",
    "replace": "#bc4c00",
    "delete": "#cf222e",
    "adopt": "#0969da",
    "forget": "#6e7781",
    "unknown": "#8250df",
    "several": "#57606a",
}
"""Colour of a vertex by its action."""
