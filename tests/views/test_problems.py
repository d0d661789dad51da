"""Diagnostics of a plan in every output format: on top, and similar ones once."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from dbc_iac.diagnostics import Diagnostic, Severity, SourceRange
from dbc_iac.views.markdown.plan import plan_markdown
from dbc_iac.views.text.diagnostics import render
from dbc_iac.views.text.lines import Screen
from dbc_iac.views.wording import Detail, count, duration
from tests.views.plans import everything, plan_page, plan_text

DENIED = Diagnostic("policy-denied", Severity.ERROR, "no update in production", address="VirtualMachine/bigger")
WARNED = Diagnostic("node-may-refuse", Severity.WARNING, "perhaps no GPU is free", remedy="Ask for fewer.")


def renamed(number: int) -> Diagnostic:
    address = f"VirtualMachine/w-{number}"
    summary, remedy = f"{address} would be deleted", f"Add moved for {number}."
    source = SourceRange("m.yaml", number + 1, 1, number + 1, 2)
    return Diagnostic("likely-rename", Severity.WARNING, summary, "It looks alike.", remedy, source, address=address)


def test_every_format_shows_diagnostics_before_data_loss() -> None:
    made = replace(everything(), diagnostics=(WARNED, DENIED))
    [markdown] = plan_markdown(made)
    for text in (plan_text(made), markdown.replace("\\", ""), plan_page(made).partition("<main>")[2]):
        places = [text.find(p) for p in ("Refused", DENIED.summary, "Warnings", WARNED.summary, "Data loss")]
        assert -1 not in places
        assert places == sorted(places)
        assert "VirtualMachine/bigger: no update in production" in text
        assert "Ask for fewer." in text


def test_a_thousand_similar_diagnostics_take_a_few_lines() -> None:
    many = tuple(map(renamed, range(1_000)))
    made = replace(everything(), diagnostics=many)
    more = "... and 997 more like this: VirtualMachine/w-3, VirtualMachine/w-4, VirtualMachine/w-5 and 994 more"
    [markdown] = plan_markdown(made)
    told = render(many, {})
    for text in (plan_text(made), plan_page(made), markdown.replace("\\", ""), told):
        assert more in text
        assert text.count("would be deleted") == 3
    assert len(told.splitlines()) < 20
    assert "VirtualMachine/w-999 would be deleted" in plan_text(made, Detail.FULL)


def test_errors_are_never_grouped() -> None:
    errors = [replace(renamed(n), severity=Severity.ERROR) for n in range(20)]
    assert render(errors, {}).count("error[likely-rename]") == 20


def test_the_number_of_printed_problems_is_limited_and_warnings_hide_no_error() -> None:
    warnings = [
        Diagnostic(f"w-{n}", Severity.WARNING, f"warning {n}", source=SourceRange("a.yaml", n, 1, n, 1))
        for n in range(1, 41)
    ]
    text = render([*warnings, Diagnostic("lost", Severity.ERROR, "an error without a place")], {})
    assert text.count("\n  --> a.yaml") == 29
    assert "error[lost]: an error without a place\n" in text
    assert "... and 1 more warning[w-30], " in text
    errors = [Diagnostic("x", Severity.ERROR, f"error {n}") for n in range(1, 101)]
    assert render(errors, {}).count("error[x]: ") == 30
    assert render(errors, {}).endswith("... and 70 more error[x] (--json shows all)\n")


@pytest.mark.hostile_summaries
@pytest.mark.parametrize("columns", [60, 80, 140])
def test_diagnostics_are_folded_and_coloured_on_a_terminal_and_the_caret_stays(columns: int) -> None:
    text = f"{' ' * 150}bad: [1, 2]"
    source = SourceRange("m.yaml", 1, 151, 1, 154)
    one = Diagnostic("x", Severity.ERROR, "a sentence of words " * 9, "more of them " * 20, "help " * 30, source)
    plain = render([one], {"m.yaml": text}, Screen(columns=columns))
    assert max(map(len, plain.splitlines())) <= columns
    lines = plain.splitlines()
    [caret] = [line for line in lines if line.rstrip().endswith("^^^")]
    assert lines[lines.index(caret) - 1][caret.index("^") :].startswith("bad")
    assert "\x1b[1;31merror[x]" in render([one], {"m.yaml": text}, Screen(colours=True, columns=columns))


@pytest.mark.parametrize(("seconds", "text"), [
    (0, "0 s"), (60, "60 s"), (120, "120 s"), (121, "3 min"), (3_600, "1 h"), (30_000, "8 h 20 min"), (180_000, "2 d 2 h"),
])  # fmt: skip
def test_long_durations_are_in_hours(seconds: int, text: str) -> None:
    assert duration(seconds) == text


def test_counts_have_singular_and_plural() -> None:
    told = (count(1, "step"), count(1_200, "step"), count(1, "VM is", "VMs are"))
    assert told == ("1 step", "1,200 steps", "1 VM is")


def test_two_diagnostics_that_differ_in_their_address_only_are_shown_once() -> None:
    two = [
        Diagnostic(
            "unreadable", Severity.WARNING, f"cannot read {a}: not rented", "Nothing changes.", "Renew it.", address=a
        )
        for a in ("Disk/a", "Disk/b")
    ]
    assert render(two, {}).count("not rented") == 1
    assert "... and 1 more like this: Disk/b" in render(two, {})
