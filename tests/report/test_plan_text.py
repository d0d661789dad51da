"""A plan as text: what stands on top, what is told together, and that it fits a terminal."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbc_iac.plan.model import Action
from dbc_iac.report.grouping import Detail
from dbc_iac.report.lines import Line, Screen, Tone, fold
from dbc_iac.report.plan_text import plan_lines, plan_text
from tests.report.plans import HOSTILE, MEMORY, change, everything, fleet, plan


def test_what_is_grave_stands_above_what_is_not() -> None:
    text = plan_text(everything())
    order = [
        "Plan: 1 to delete, 1 to replace, 4 to update, 2 to create, 1 to adopt, 1 to forget, 1 unknown. "
        "1 VM is powered off for it. About 10 calls.",
        "Recovery: VirtualMachine/x",
        "What is lost for ever:",
        "VirtualMachine/other: its 200Gi of data are lost",
        "VirtualMachine/old: its disks are deleted (100Gi of data)",
        "What is disturbed:",
        "VirtualMachine/old (on Node/gpu-a) is deleted: its document is gone",
        "VirtualMachine/bigger (on Node/gpu-a) is powered off and started again, off for about 60 s: memory, Disk/scratch",
        "VirtualMachine/resting (on Node/gpu-a) is off now, and is started: memory",
        "  - VirtualMachine/old  delete: its document is gone",
        "-/+ VirtualMachine/other  replace: image differs",
        "memory: 32Gi -> 64Gi  [cold-boot]",
        "login.password: (secret, differs)  [running]",
        "  + VirtualMachine/new  create: it is new",
        "Moved since it was applied, and is put back:",
        "  ~ VirtualMachine/stopped  update: the world moved\n      power: off -> on  [online, drift]",
        "Notes:",
        "Steps:",
        "  1. VirtualMachine/bigger is powered off for about 60 s",
    ]
    places = [text.find(part) for part in order]
    assert -1 not in places, order[places.index(-1)]
    assert places == sorted(places)


def test_a_plan_of_five_thousand_is_read_on_one_screen_and_in_full_on_demand() -> None:
    short = plan_text(fleet(5_000)).splitlines()
    assert len(short) < 40
    assert "  + 4,500 x VirtualMachine  create: it is new" in short
    assert "      VirtualMachine/w-1, VirtualMachine/w-2, VirtualMachine/w-3 and 4,497 more" in short
    assert "      gpus: 1" in short
    assert "      ports.ssh: 4,500 different: 20001, 20002, 20003 and 4,497 more" in short
    assert any("500 VMs: each is powered off and started again, each off for about 60 s: memory" in s for s in short)
    full = plan_text(fleet(5_000), Detail.FULL)
    assert all(f"VirtualMachine/w-{n} " in full for n in range(5_000))


def test_few_that_are_alike_and_many_that_are_not_are_told_one_by_one() -> None:
    few = plan(*(change(f"n-{i}", Action.UPDATE, MEMORY) for i in range(3)))
    mixed = plan(*(change(f"n-{i}", Action.UPDATE, MEMORY, reasons=(f"reason {i}",)) for i in range(9)))
    for made, count in ((few, 3), (mixed, 9)):
        text = plan_text(made)
        assert all(f"VirtualMachine/n-{i}  update" in text for i in range(count))


def test_reasons_that_name_the_address_itself_are_alike() -> None:
    made = plan(*(change(f"n-{i}", Action.UPDATE, reasons=(f"VirtualMachine/n-{i} was renamed",)) for i in range(9)))
    assert "  ~ 9 x VirtualMachine  update" in plan_text(made)


@pytest.mark.parametrize("columns", [80, 140])
@pytest.mark.parametrize("detail", list(Detail))
def test_no_line_is_wider_than_the_terminal_and_none_steers_it(columns: int, detail: Detail) -> None:
    shown = Screen(colours=False, columns=columns).render(plan_lines(everything(), detail))
    words = max(len(w) for w in HOSTILE.split())
    assert max(map(len, shown.splitlines())) <= max(columns, words + columns // 2)
    assert not [c for c in shown if unicodedata.category(c) == "Cc" and c != "\n"]
    assert "\u202e" not in shown


def test_colours_are_only_added() -> None:
    coloured = Screen(colours=True).render([Line("gone", Tone.LOSS), Line("same")])
    assert coloured == "\x1b[1;31mgone\x1b[0m\nsame\n"


@given(st.text(st.characters(exclude_categories=["Cc", "Zl", "Zp", "Cs"]), max_size=300), st.integers(40, 140))
def test_folding_keeps_every_word_in_its_order(text: str, columns: int) -> None:
    assert " ".join(fold(text, columns)).split() == text.split()
