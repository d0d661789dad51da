"""The HTML page of a plan as text: content, escaping and structure."""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from html.parser import HTMLParser

import pytest

from dbc_iac.diagnostics import Diagnostic, Severity
from dbc_iac.plan.model import Action, FieldChange, Plan
from dbc_iac.views.graph import Graph, Vertex, by_machine, dot, mermaid, plan_graph
from dbc_iac.views.html.layout import BOX, lay_out
from dbc_iac.views.html.pages import anchor
from dbc_iac.views.html.plan import plan_html
from dbc_iac.views.wording import Detail
from tests.views.plans import HOSTILE, IMAGE, MEMORY, change, everything, fleet, goal, plan, plan_page, step, window

VOID = {"meta", "input", "br", "path", "rect", "img", "link", "hr"}


class Page(HTMLParser):
    """Tags, ids, links and texts; fails where tags do not close."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert not [name for name, _ in attrs if name.startswith("on") or name in {"src", "style"}]
        found = dict(attrs)
        self.ids += [found["id"] or ""] if "id" in found else []
        self.links += [found["href"] or ""] if "href" in found else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag


@pytest.mark.parametrize("made", [everything(), fleet(400), plan()], ids=["everything", "fleet", "empty"])
def test_a_page_is_well_formed_and_asks_for_nothing(made: Plan) -> None:
    text = plan_page(made)
    page = Page(text)
    assert len(page.ids) == len(set(page.ids))
    assert all(link.startswith("#") for link in page.links)
    assert {link.removeprefix("#") for link in page.links} <= set(page.ids)
    assert not re.search(r"@import|url\((?!#)|<link|<base|<iframe", text)
    assert text == plan_page(made)


def test_only_the_style_and_script_of_the_page_may_run() -> None:
    text = plan_page(everything())
    [policy] = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]+)"', text)
    for kind in ("style", "script"):
        [inside] = re.findall(rf"<{kind}>(.*?)</{kind}>", text, re.DOTALL)
        digest = b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy


def test_hostile_text_is_no_markup_in_html() -> None:
    made = plan(
        change("x", Action.UPDATE, FieldChange("desc", HOSTILE, [HOSTILE], "online"), reasons=(HOSTILE,),
               notes=(HOSTILE,), losses=(HOSTILE,)),
        recovery=(HOSTILE,), moves=(HOSTILE,),
    )  # fmt: skip
    text = plan_page(made)
    tags = Page(text).tags
    assert "img" not in tags
    assert (tags.count("script"), tags.count("style")) == (1, 1)
    assert text.count("&lt;img src=x onerror=alert(1)&gt;") >= 6
    assert "\\u001b[31m\\u202e" in text
    assert "\x1b" not in text
    assert "{{ 7*7 }}" in text


def test_every_resource_of_a_fleet_can_be_found_in_it() -> None:
    ids = set(Page(plan_page(fleet(400))).ids)
    assert {anchor(f"VirtualMachine/w-{n}") for n in range(400)} <= ids


def test_a_large_graph_is_one_of_machines() -> None:
    small, large = plan_graph(everything()), plan_graph(fleet(400))
    assert by_machine(small) is small
    machines = by_machine(large)
    assert [v.key for v in machines.vertices] == [f"Node/gpu-{n}" for n in range(20)]
    assert (machines.vertices[0].detail, machines.vertices[0].action) == ("20 update", "update")
    assert sum(v.count for v in machines.vertices) == 400


def test_boxes_do_not_lie_on_each_other_and_arrows_go_right() -> None:
    names = [f"n{n}" for n in range(40)]
    edges = tuple((names[n // 3], names[n]) for n in range(1, 34))
    graph = Graph(tuple(Vertex(n, n) for n in names), edges)
    layout = lay_out(graph)
    assert lay_out(graph) == layout
    places = list(layout.places.values())
    for number, (x, y) in enumerate(places):
        assert 0 <= x <= layout.width - BOX[0]
        assert 0 <= y <= layout.height - BOX[1]
        assert all(abs(x - a) >= BOX[0] or abs(y - b) >= BOX[1] for a, b in places[:number])
    assert all(layout.places[a][0] < layout.places[b][0] for a, b in edges)


def test_graphs_as_text() -> None:
    graph = plan_graph(everything())
    assert '  "Network/lan" -> "VirtualMachine/new";' in dot(graph)
    assert '  "VirtualMachine/old" [label="old\\nVirtualMachine: delete", color="#cf222e", penwidth=2];' in dot(graph)
    assert '["old<br/>VirtualMachine: delete"]:::delete' in mermaid(graph)
    quoted = Graph((Vertex('a"b', 'a"b\\'),))
    assert '"a\\"b" [label="a\\"b\\\\\\n"]' in dot(quoted)
    assert "a#quot;b" in mermaid(quoted)


def test_no_two_addresses_lead_to_the_same_place() -> None:
    names = ["x_y", "x-y", "x.y", "x y", "x__y", "x_5f_y", "x/y", "x"]
    addresses = [f"{kind}/{name}" for kind in ("VirtualMachine", "Disk") for name in names]
    assert len({anchor(a) for a in addresses}) == len(addresses)
    assert not re.search(r"[^A-Za-z0-9._~-]", "".join(map(anchor, addresses)))


def test_a_new_field_has_one_value_and_no_rule() -> None:
    [table] = re.findall(r'<table class="fields new">.*?</table>', plan_page(everything()), re.DOTALL)
    assert re.findall(r"<th[^>]*>([^<]+)</th>", table) == ["Field", "Value"]
    assert "cold-boot" not in table
    assert plan_page(everything()).count("<summary>5 steps</summary>") == 1


def test_a_single_step_is_singular() -> None:
    made = plan(change("x", Action.UPDATE, MEMORY), steps=(step("VirtualMachine/x", "setting memory to 64Gi"),))
    assert "<summary>1 step</summary>" in plan_page(made)
    [vertex] = by_machine(Graph((Vertex("A/b", "b", machine="Node/n"),)), 0).vertices
    assert vertex.detail == "1 resource"


def test_a_page_of_creations_only_is_open() -> None:
    made = plan(*(change(f"x-{n}", Action.CREATE, reasons=(f"reason {n}",)) for n in range(30)))
    assert plan_page(made).count(" open>") >= 30


def test_the_digest_is_that_of_the_plan_with_the_ids_of_its_machines() -> None:
    machine = "a" * 64
    field = FieldChange("node", None, machine, "replace")
    made = plan(change("x", Action.CREATE, field, route={"name": "Node/gpu-a", "target": machine}))
    text = plan_page(made)
    assert f"Plan digest <code>{made.digest[:16]}</code>" in text
    assert "gpu-a" in text
    assert machine not in text


@pytest.mark.parametrize("detail", list(Detail))
def test_no_piece_of_a_page_grows_with_the_plan(detail: Detail) -> None:
    def longest(made: Plan) -> int:
        return max(map(len, plan_html(made, detail)))

    assert longest(_long(400)) < 1.1 * longest(_long(40))
    assert longest(fleet(800)) < 1.1 * longest(fleet(400))


def _long(count: int) -> Plan:
    """A plan with `count` entries in every list of its page."""
    numbers = range(count)
    return plan(
        *(change(f"a{n}", Action.REPLACE, IMAGE, reasons=("image differs",), losses=(f"loss {n}",)) for n in numbers),
        *(change(f"b{n}", Action.UPDATE, MEMORY, notes=(f"note {n}",)) for n in numbers),
        *(change(f"c{n}", Action.NO_OP, notes=(f"note {n}",)) for n in numbers),
        steps=tuple(window(f"a{n}", goal(f"VirtualMachine/a{n}", "replacing")) for n in numbers),
        diagnostics=tuple(Diagnostic("code", s, f"{s} {n}", address=f"Disk/{n}") for s in Severity for n in numbers),
        moves=tuple(f"a{n} to b{n}" for n in numbers),
        recovery=tuple(f"found {n}" for n in numbers),
    )
