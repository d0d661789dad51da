"""Positions of the boxes of a graph: layers from left to right, by the Sugiyama layout of igraph."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec

from msgspec import Struct

from dbc_iac.views.graph import Graph

BOX = (190, 44)
"""Width and height of a box, in pixels."""
_ACROSS, _DOWN, _MARGIN = 260, 60, 12
_COLUMNS = 4
"""Of boxes that nothing is connected with."""


class Layout(Struct, frozen=True):
    """Left upper corners of the boxes by key, and the size of it all, in pixels."""

    places: Mapping[str, tuple[int, int]]
    width: int
    height: int


def can_lay_out() -> bool:
    """Whether igraph is installed: it comes with the extra `graph`."""
    return find_spec("igraph") is not None


def lay_out(graph: Graph) -> Layout:
    """Deterministic for a given graph."""
    joined = {key for edge in graph.edges for key in edge}
    keys = [v.key for v in graph.vertices if v.key in joined]
    places = _layered(keys, graph.edges)
    below = max((y for _, y in places.values()), default=_MARGIN - _DOWN) + _DOWN
    for number, key in enumerate(v.key for v in graph.vertices if v.key not in joined):
        places[key] = (_MARGIN + number % _COLUMNS * _ACROSS, below + number // _COLUMNS * _DOWN)
    width = max((x for x, _ in places.values()), default=0) + BOX[0] + _MARGIN
    height = max((y for _, y in places.values()), default=0) + BOX[1] + _MARGIN
    return Layout(places, width, height)


def _layered(keys: list[str], edges: tuple[tuple[str, str], ...]) -> dict[str, tuple[int, int]]:
    if not keys:
        return {}
    import igraph

    number = {key: n for n, key in enumerate(keys)}
    drawn = igraph.Graph(n=len(keys), edges=[(number[a], number[b]) for a, b in edges], directed=True)
    found = drawn.layout_sugiyama(hgap=1, vgap=1, maxiter=200)[: len(keys)]
    top = min(x for x, _ in found)
    return {
        key: (_MARGIN + round(layer * _ACROSS), _MARGIN + round((x - top) * _DOWN))
        for key, (x, layer) in zip(keys, found, strict=True)
    }
