"""A plan as text: what stands on top, what is told together, and that it fits a terminal."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbc_iac.plan.model import Action, FieldChange
from dbc_iac.views.grouping import Detail
from dbc_iac.views.html.plan import plan_html
from dbc_iac.views.markdown.plan import plan_markdown
from dbc_iac.views.text.lines import Line, Screen, Tone, fold
from dbc_iac.views.text.plan import plan_lines, plan_text
from tests.views.plans import HOSTILE, IMAGE, MEMORY, POWER, change, everything, fleet, goal, plan, step, window


def test_what_is_grave_stands_above_what_is_not() -> None:
    text = plan_text(everything())
    order = [
        "Plan: 1 to delete, 1 to replace, 4 to update, 2 to create, 1 to adopt, 1 to forget, 1 unknown. "
        "1 VM is powered off for it. About 10 calls.",
        "Project lab, stack main, environment prod.",
        "Recovery: VirtualMachine/x",
        "What is lost for ever:",
        "VirtualMachine/other: its 200Gi of data are lost",
        "VirtualMachine/old: its disks are deleted (100Gi of data)",
        "What is disturbed:",
        "VirtualMachine/old (on Node/gpu-a) is deleted: no longer in the manifests",
        "VirtualMachine/bigger (on Node/gpu-a) is powered off and started again, off for about 60 s: memory, Disk/scratch",
        "VirtualMachine/resting (on Node/gpu-a) is off now, and is started: memory",
        "  - VirtualMachine/old  delete: no longer in the manifests",
        "-/+ VirtualMachine/other  replace: image differs",
        "memory: 32Gi -> 64Gi  [cold-boot]",
        "login.password: (secret, differs)  [running]",
        "  + VirtualMachine/new  create: it is new",
        "Moved since it was applied, and is put back:",
        "  ~ VirtualMachine/stopped  update: the world moved\n      power: off -> on  [online, drift]",
        "Could not be read, and is left alone:",
        "  ? VirtualMachine/unread  unknown: the node said",
        "Notes:",
        "Steps:",
        "  1. VirtualMachine/bigger is powered off for about 60 s",
        "  2. VirtualMachine/resting is off now: it is changed, and started",
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
    assert any("500 VMs: each is powered off and started again, off for about 60 s: memory" in s for s in short)
    full = plan_text(fleet(5_000), Detail.FULL)
    assert all(f"VirtualMachine/w-{n} " in full for n in range(5_000))


def test_few_that_are_alike_and_many_that_are_not_are_told_one_by_one() -> None:
    few = plan(*(change(f"n-{i}", Action.UPDATE, MEMORY) for i in range(2)))
    mixed = plan(*(change(f"n-{i}", Action.UPDATE, MEMORY, reasons=(f"reason {i}",)) for i in range(9)))
    for made, count in ((few, 2), (mixed, 9)):
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


def test_who_is_off_for_a_replacement_is_counted_too() -> None:
    anew = change("other", Action.REPLACE, IMAGE, old_id="id-before")
    steps = (window("a", goal("VirtualMachine/a", "has memory 64Gi")), step("VirtualMachine/other", "exists"))
    both = plan(change("a", Action.UPDATE, MEMORY), anew, steps=steps)
    assert " 2 VMs are powered off for it, 1 of them until its new one runs. " in plan_text(both)
    assert " 1 VM is powered off for it, until its new one runs. " in plan_text(plan(anew, steps=steps[1:]))


def test_what_a_window_does_is_what_the_disturbance_says() -> None:
    made = plan(
        change("a", Action.UPDATE, MEMORY, POWER, observed={"power": "off"}),
        change("b", Action.UPDATE, MEMORY, observed={"power": "off"}),
        steps=(
            window("a", goal("VirtualMachine/a", "has memory 64Gi")),
            replace(window("b", goal("VirtualMachine/b", "has memory 64Gi"), seconds=0), power="off"),
        ),
    )  # fmt: skip
    [markdown] = plan_markdown(made)
    for text in (plan_text(made), markdown, re.sub(r"<[^>]+>", "", plan_html(made))):
        assert "VirtualMachine/a is off now: it is changed, and started" in text
        assert "VirtualMachine/b is off and stays off" in text
        assert "is powered off" not in text


def test_many_windows_tell_how_long_it_takes_in_all() -> None:
    steps = tuple(window(f"w-{n}", goal(f"VirtualMachine/w-{n}", "has memory 64Gi")) for n in range(500))
    made = plan(*(change(f"w-{n}", Action.UPDATE, MEMORY) for n in range(500)), steps=steps)
    [markdown] = plan_markdown(made)
    for text in (plan_text(made), markdown, plan_html(made)):
        assert "One after another on each machine: about 8 h 20 min in all." in text


def test_what_the_world_did_to_a_machine_is_told_apart_from_what_is_asked_for() -> None:
    made = plan(change("a", Action.UPDATE, POWER, MEMORY))
    [markdown] = plan_markdown(made)
    for text in (plan_text(made), markdown, re.sub(r"<[^>]+>", "", plan_html(made)).partition("ask for")[2]):
        places = [text.find(p) for p in ("memory", "oved since it was applied, and is put back:", "power")]
        assert -1 not in places
        assert places == sorted(places)


def test_changes_stand_in_the_order_of_the_work() -> None:
    disk, machine = change("a-disk", Action.CREATE, kind="Disk"), change("vm", Action.CREATE)
    steps = (step("VirtualMachine/vm", "exists"), window("vm", goal("Disk/a-disk", "exists")))
    text = plan_text(plan(disk, machine, steps=steps))
    assert text.index("+ VirtualMachine/vm") < text.index("+ Disk/a-disk")


def test_three_that_are_alike_are_told_together() -> None:
    made = plan(*(change(f"n-{i}", Action.UPDATE, MEMORY) for i in range(3)))
    assert (
        "  ~ 3 x VirtualMachine  update\n      VirtualMachine/n-0, VirtualMachine/n-1, VirtualMachine/n-2\n"
        in plan_text(made)
    )


def test_a_machine_has_the_name_of_its_document() -> None:
    target = "58fb618a" * 8
    made = plan(
        change("a", Action.CREATE, FieldChange("node", None, target, "replace"),
               route={"name": "Node/gpu-a", "target": target}),
    )  # fmt: skip
    [markdown] = plan_markdown(made)
    for text in (plan_text(made), markdown, plan_html(made)):
        assert target not in text
    assert "      node: gpu-a\n" in plan_text(made)


def test_a_thousand_moves_are_told_in_a_few_lines() -> None:
    made = plan(moves=tuple(f"VirtualMachine/n.{n} has what VirtualMachine/o.{n} had" for n in range(1_000)))
    text = plan_text(made)
    assert len(text.splitlines()) < 20
    assert "Moved: ... and 990 more (--full shows them)" in text
    assert plan_text(made, Detail.FULL).count("Moved: VirtualMachine/n.") == 1_000


def test_it_says_what_it_is_a_plan_of() -> None:
    assert plan_text(plan()).splitlines()[1] == "Project lab, stack main, environment prod."
    assert "Removal of all of project lab, stack main" in plan_text(plan(destroy=True))
