"""A graph as SVG, by itself or inside a page. Needs igraph (see `layout.can_lay_out`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING

from msgspec import Struct

from dbc_iac.address import Address
from dbc_iac.views.graph import COLOURS, Graph, Vertex, second
from dbc_iac.views.html.layout import BOX, Layout, lay_out
from dbc_iac.views.html.pages import environment

if TYPE_CHECKING:
    from jinja2 import Template

_LONGEST = 27
"""Characters of a line in a box."""


class _Box(Struct, frozen=True):
    x: int
    y: int
    title: str
    second: str
    label: str
    action: str
    link: str
    search: str
    width: int = BOX[0]
    height: int = BOX[1]


def svg(graph: Graph) -> str:
    """A file of its own, with its style."""
    return _drawn(graph, {}, style=True) + "\n"


def svg_of_page(graph: Graph, links: Mapping[str, str]) -> str:
    """A part of a page, whose boxes lead to its changes. `links`: key -> id in the page."""
    return _drawn(graph, links, style=False)


@cache
def _template() -> Template:
    return environment({}).get_template("graph.svg.jinja")


def _drawn(graph: Graph, links: Mapping[str, str], *, style: bool) -> str:
    layout = lay_out(graph)
    return _template().render(
        layout=layout,
        boxes=[_box(v, layout, links) for v in graph.vertices],
        edges=list(_edges(graph, layout)),
        label="Dependency graph",
        linked=not style,
        style=style,
        colours=COLOURS,
    )


def _box(vertex: Vertex, layout: Layout, links: Mapping[str, str]) -> _Box:
    x, y = layout.places[vertex.key]
    whole = f"{vertex.key}: {second(vertex)}" if vertex.count > 1 else f"{vertex.key} {vertex.action}".strip()
    search = Address(vertex.machine).label.lower() if vertex.count > 1 else ""
    link = "changes" if vertex.count > 1 else links.get(vertex.key, "")
    return _Box(x, y, _cut(vertex.title), _cut(second(vertex)), whole, vertex.action, link, search)


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _edges(graph: Graph, layout: Layout) -> Iterator[dict[str, int]]:
    for here, there in graph.edges:
        (x1, y1), (x2, y2) = layout.places[here], layout.places[there]
        begin, end, middle = x1 + BOX[0], x2 - 2, BOX[1] // 2
        bend = max((end - begin) // 2, 30)
        yield {"x1": begin, "y1": y1 + middle, "x2": end, "y2": y2 + middle, "bend1": begin + bend, "bend2": end - bend}
