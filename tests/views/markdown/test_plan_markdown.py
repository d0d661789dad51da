"""A plan as Markdown: as parsed, without foreign markup, and its size."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from dbc_iac.diagnostics import Diagnostic, Severity
from dbc_iac.plan.model import Action, FieldChange
from dbc_iac.views.markdown.plan import MAX, plain, plan_markdown
from dbc_iac.views.wording import Detail
from tests.views.plans import HOSTILE, MEMORY, change, everything, fleet, plan

PARSER = MarkdownIt("gfm-like", {"linkify": False, "html": True})


def test_the_markdown_has_the_sections_of_the_text() -> None:
    [text] = plan_markdown(everything())
    order = [
        "## dbc-iac: plan of `lab/main` on `prod`",
        "Plan: 2 to create, 4 to update, 1 to delete",
        "[!CAUTION]",
        "[!WARNING]",
        "### Changes",
        "<code>-</code> <b>VirtualMachine/old</b> delete",
        "<b>VirtualMachine/new</b> create",
        "### Drift (changed outside dbc-iac), will be reverted",
        "<b>VirtualMachine/stopped</b>",
        "### Could not be read, left unchanged",
    ]
    places = [text.find(part) for part in order]
    assert -1 not in places, order[places.index(-1)]
    assert places == sorted(places)
    assert text.count("<details") == text.count("</details>\n")


@pytest.mark.parametrize("text", [HOSTILE, "`" * 7, "# head", "> quote", "<b>", "*x*", "![i](u)", "| a | b |"])
def test_hostile_text_is_no_markup_in_markdown(text: str) -> None:
    made = plan(
        change("x", Action.UPDATE, FieldChange("desc", text, f"{text} more", "online"), reasons=(text,), notes=(text,)),
        change("lost", Action.DELETE, losses=(text,)),
        recovery=(text,),
    )
    [shown] = plan_markdown(made)
    page = PARSER.render(shown)
    assert not re.search(r"<(img|script|a )", page)
    outside = re.sub(r"<pre>.*?</pre>", "", page, flags=re.DOTALL)
    assert "<blockquote>\n<blockquote>" not in outside
    assert page.count("<details") == 1
    assert "@everyone" not in re.sub(r"<(pre|code)>.*?</\1>", "", page, flags=re.DOTALL)
    assert outside.count("</details>") == 1


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=80))
@settings(max_examples=50)
def test_any_text_is_shown_as_it_is(text: str) -> None:
    page = PARSER.render(f"x{plain(text)}x")
    assert not re.search(r"<(?!/?p>)", page.replace("&lt;", ""))


@pytest.mark.parametrize(("count", "detail"), [(5_000, Detail.GROUPED), (5_000, Detail.FULL), (3, Detail.FULL)])
def test_every_part_fits_a_comment(count: int, detail: Detail) -> None:
    parts = plan_markdown(fleet(count), detail)
    assert all(len(part.encode()) <= MAX for part in parts)
    for part in parts:
        assert part.count("<details") == part.count("</details>")
        assert part.count("```") % 2 == 0
    if detail is Detail.FULL:
        assert all(any(f"VirtualMachine/w-{n}</b>" in p for p in parts) for n in range(0, count, 97))
    if len(parts) > 1:
        assert f"*Part 1 of {len(parts)}: the others are files beside the first one" in parts[0]
        assert parts[1].rstrip().endswith(f"*Part 2 of {len(parts)}.*")


def test_one_huge_change_is_cut_and_says_so() -> None:
    huge = change("x", Action.UPDATE, FieldChange("userData", "a", "b" * 300_000, "replace"))
    [text] = plan_markdown(plan(huge))
    assert len(text) <= MAX
    assert "more characters, see `dbc-iac plan --full`" in text


@pytest.mark.parametrize(
    "line", ["VirtualMachine/now has what VirtualMachine/before had", "@\x1b" * 5_000, "*" * 9_000]
)
def test_a_list_of_a_thousand_lines_fits_a_comment(line: str) -> None:
    warned = tuple(Diagnostic("x", Severity.WARNING, f"{n} {line}") for n in range(1_000))
    losses = change("x", Action.DELETE, losses=(line,) * 1_000)
    made = plan(losses, recovery=(line,) * 3_000, moves=(line,) * 1_000, diagnostics=warned)
    parts = plan_markdown(made)
    assert all(len(part.encode()) <= MAX for part in parts)
    assert "and 2,960 more, see `dbc-iac plan --full`" in "".join(parts)


@pytest.mark.parametrize("text", ["see www.evil.example now", "ftp://evil.example", "https://evil.example"])
def test_nothing_becomes_a_link_by_itself(text: str) -> None:
    made = plan(change("x", Action.UPDATE, losses=(text,), reasons=(text,)), recovery=(text,))
    [shown] = plan_markdown(made)
    assert "www." not in shown
    assert "://" not in re.sub(r"://\u200b", "", shown)


def test_reasons_are_text() -> None:
    [shown] = plan_markdown(plan(change("x", Action.UPDATE, MEMORY, reasons=("manifest changed",))))
    assert "<b>VirtualMachine/x</b> update: manifest changed</summary>" in shown


def test_a_plan_that_only_creates_is_open() -> None:
    [opened] = plan_markdown(plan(change("a", Action.CREATE, FieldChange("gpus", None, 2, "cold-boot"))))
    assert "<details open>" in opened
    mixed = plan(
        change("a", Action.CREATE, FieldChange("gpus", None, 2, "cold-boot")), change("b", Action.UPDATE, MEMORY)
    )
    assert "<details open>" not in plan_markdown(mixed)[0]
