"""A plan as text: order of the sections, grouping, and layout on terminals."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from dbc_iac.plan.model import Action, FieldChange
from dbc_iac.views.markdown.plan import plan_markdown
from dbc_iac.views.text.lines import Line, Screen, Tone, fold
from dbc_iac.views.text.plan import plan_lines
from dbc_iac.views.wording import Detail
from tests.views.plans import (
    HOSTILE,
    IMAGE,
    MEMORY,
    POWER,
    change,
    everything,
    fleet,
    goal,
    plan,
    plan_page,
    plan_text,
    step,
    window,
)


def test_a_plan_shows_data_loss_and_disruption_before_the_changes() -> None:
    text = plan_text(everything())
    summary = (
        "Plan: 2 to create, 4 to update, 1 to delete, 1 to replace, 1 to adopt, 1 to remove from the state, 1 to move, "
        "1 could not be read."
    )
    assert text.startswith(f"{summary}\n")
    assert text.endswith(f"\n\n{summary}\n")
    order = [
        "Project lab, stack main, environment prod. 1 VM will be powered off. About 10 API calls.",
        "Recovery: VirtualMachine/x",
        "Data loss:",
        "VirtualMachine/other: its 200Gi of data are lost",
        "VirtualMachine/old: its disks are deleted (100Gi of data)",
        "Disruption:",
        "VirtualMachine/old on Node/gpu-a: will be deleted (no longer in the manifests)",
        "VirtualMachine/bigger on Node/gpu-a: will be powered off and started again, off for about 60 s (memory, Disk/scratch)",
        "VirtualMachine/resting on Node/gpu-a: powered off, will be started (memory)",
        "  - VirtualMachine/old  delete: no longer in the manifests",
        "-/+ VirtualMachine/other  replace: image differs",
        "memory: 32Gi -> 64Gi  (needs a restart)",
        "login.password: (secret, differs)",
        "  + VirtualMachine/new  create\n",
        "Drift (changed outside dbc-iac), will be reverted:",
        "  ~ VirtualMachine/stopped  update: drift\n      power: off -> on",
        "Could not be read, left unchanged:",
        "  ? VirtualMachine/unread  not read: the node said",
        "Notes on unchanged resources:",
        "Steps:",
        "  1. VirtualMachine/bigger: power-off window of about 60 s",
        "  2. VirtualMachine/resting: powered off, will be started after the changes",
        "  4. VirtualMachine/new: creating\n",
    ]
    places = [text.find(part) for part in order]
    assert -1 not in places, order[places.index(-1)]
    assert places == sorted(places)


def test_a_plan_of_five_thousand_resources_fits_one_or_two_screens_without_full() -> None:
    short = plan_text(fleet(5_000)).splitlines()
    assert len(short) < 60
    assert "  + 4,500 x VirtualMachine  create" in short
    assert any(s.endswith("VirtualMachine/w-13 and 4,488 more") for s in short)
    assert "      gpus: 1" in short
    assert "        w-1: 20001" in short
    assert "        ... and 4,480 other values (--full shows them)" in short
    assert any("500 VMs: each will be powered off and started again, off for about 60 s (memory)" in s for s in short)
    full = plan_text(fleet(5_000), Detail.FULL)
    assert all(f"VirtualMachine/w-{n} " in full for n in range(5_000))


def test_changes_are_grouped_only_if_they_are_alike_and_several() -> None:
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


def test_vms_off_during_their_replacement_are_counted_as_powered_off() -> None:
    replaced = change("other", Action.REPLACE, IMAGE, old_id="id-before")
    steps = (window("a", goal("VirtualMachine/a", "setting memory")), step("VirtualMachine/other", "creating"))
    both = plan(change("a", Action.UPDATE, MEMORY), replaced, steps=steps)
    assert " 2 VMs will be powered off. " in plan_text(both)
    assert " 1 VM will be powered off. " in plan_text(plan(replaced, steps=steps[1:]))


def test_servers_are_not_counted_as_vms() -> None:
    names = ("a", "b", "c")
    servers = [
        change(n, Action.UPDATE, FieldChange("power", "on", "off", "online"), kind="BareMetalInstance") for n in names
    ]
    steps = tuple(step(f"BareMetalInstance/{n}", "powering off") for n in names)
    made = plan(*servers, steps=steps)
    assert " 3 servers will be powered off. " in plan_text(made)
    assert "\n  3 servers: each will be powered off and stay off\n" in plan_text(made)
    assert "<summary>3 servers: each will be powered off" in plan_page(made)


def test_steps_of_windows_agree_with_the_disruption() -> None:
    made = plan(
        change("a", Action.UPDATE, MEMORY, POWER, observed={"power": "off"}),
        change("b", Action.UPDATE, MEMORY, observed={"power": "off"}),
        steps=(
            window("a", goal("VirtualMachine/a", "setting memory to 64Gi")),
            replace(window("b", goal("VirtualMachine/b", "setting memory to 64Gi"), seconds=0), power="off"),
        ),
    )  # fmt: skip
    [markdown] = plan_markdown(made)
    for text in (plan_text(made), markdown, re.sub(r"<[^>]+>", "", plan_page(made))):
        assert "VirtualMachine/a: powered off, will be started after the changes" in text
        assert "VirtualMachine/b: powered off, stays off" in text
        assert "will be powered off" not in text


def test_many_windows_have_a_total_time() -> None:
    steps = tuple(window(f"w-{n}", goal(f"VirtualMachine/w-{n}", "setting memory to 64Gi")) for n in range(500))
    made = plan(*(change(f"w-{n}", Action.UPDATE, MEMORY) for n in range(500)), steps=steps)
    [markdown] = plan_markdown(made)
    for text in (plan_text(made), markdown, plan_page(made)):
        assert "One window at a time on each machine, about 8 h 20 min in total." in text


def test_drift_of_a_changed_machine_is_listed_apart() -> None:
    made = plan(change("a", Action.UPDATE, POWER, MEMORY))
    [markdown] = plan_markdown(made)
    for text in (
        plan_text(made),
        markdown,
        re.sub(r"<[^>]+>", "", plan_page(made).partition('<section id="changes"')[2]),
    ):
        title = text.index("rift (changed outside dbc-iac), will be reverted:")
        assert text.index("memory") < title < text.rindex("power")


def test_changes_are_listed_in_the_order_of_the_steps() -> None:
    disk, machine = change("a-disk", Action.CREATE, kind="Disk"), change("vm", Action.CREATE)
    steps = (step("VirtualMachine/vm", "creating"), window("vm", goal("Disk/a-disk", "creating")))
    text = plan_text(plan(disk, machine, steps=steps))
    assert text.index("+ VirtualMachine/vm") < text.index("+ Disk/a-disk")


def test_three_changes_that_are_alike_are_grouped() -> None:
    made = plan(*(change(f"n-{i}", Action.UPDATE, MEMORY) for i in range(3)))
    assert (
        "  ~ 3 x VirtualMachine  update\n      VirtualMachine/n-0, VirtualMachine/n-1, VirtualMachine/n-2\n"
        in plan_text(made)
    )


def test_a_machine_is_shown_by_its_name_not_its_id() -> None:
    target = "58fb618a" * 8
    made = plan(
        change("a", Action.CREATE, FieldChange("node", None, target, "replace"),
               route={"name": "Node/gpu-a", "target": target}),
    )  # fmt: skip
    [markdown] = plan_markdown(made)
    for text in (plan_text(made), markdown, plan_page(made)):
        assert target not in text
    assert "      node: gpu-a\n" in plan_text(made)


def test_a_thousand_moves_take_a_few_lines() -> None:
    made = plan(moves=tuple(f"VirtualMachine/n.{n} has what VirtualMachine/o.{n} had" for n in range(1_000)))
    text = plan_text(made)
    assert len(text.splitlines()) < 20
    assert "Moved: ... and 990 more (--full shows them)" in text
    assert plan_text(made, Detail.FULL).count("Moved: VirtualMachine/n.") == 1_000


def test_the_second_line_names_project_stack_and_environment() -> None:
    assert plan_text(plan()).splitlines()[1] == "Project lab, stack main, environment prod."
    assert "Destroy project lab, stack main" in plan_text(plan(destroy=True))


def test_members_of_a_group_are_listed_by_the_value_in_which_they_differ() -> None:
    sizes = ("64Gi", "64Gi", "128Gi")
    members = [change(f"n-{i}", Action.UPDATE, replace(MEMORY, after=size)) for i, size in enumerate(sizes)]
    assert (
        "      memory:  (needs a restart)\n        n-0, n-1: 32Gi -> 64Gi\n        n-2: 32Gi -> 128Gi\n"
    ) in plan_text(plan(*members))


def test_an_unchanged_plan_has_one_summary() -> None:
    assert plan_text(plan()).count("No changes. The infrastructure matches the manifests.") == 1
    assert plan_text(plan(moves=("VirtualMachine/a to VirtualMachine/b",))).startswith("Plan: 1 to move.\n")


def test_a_read_that_failed_is_explained_without_the_words_of_the_node() -> None:
    text = plan_text(plan(change("a", Action.UNKNOWN, reasons=("check authority failed: wallet not rented",))))
    assert "  ? VirtualMachine/a  not read: not rented by this wallet" in text
    assert "wallet not rented" not in text
    assert text.startswith("Plan: 0 to create, 0 to update, 0 to delete, 1 could not be read.\n")
