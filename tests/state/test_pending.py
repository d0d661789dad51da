"""A call that may have been carried out is not forgotten before its object has been seen."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbc_iac.emulator import FaultSpec
from dbc_iac.state import Binding, PendingOperation, State, fold
from tests.projects import Emulated, document, project, vm

EMPTY = State(lineage="l", project="lab", uid="0" * 32, stack="main")
BEGIN = {"type": "begin", "serial": 0, "plan": "", "owner": {}}


def intent(number: int, generation: int, *, creates: bool = True) -> dict[str, Any]:
    made = PendingOperation(
        number=number,
        address="VirtualMachine/a",
        goal="vm-exists" if creates else "vm-cpus",
        id=f"id{generation}",
        generation=generation,
        call_class="keyed",
        creates=creates,
    )
    return {"type": "intent", "operation": made.model_dump(mode="json", by_alias=True)}


def result(number: int, outcome: str) -> dict[str, Any]:
    return {"type": "result", "number": number, "outcome": outcome, "message": ""}


def bind(generation: int) -> dict[str, Any]:
    made = Binding(address="VirtualMachine/a", kind="VirtualMachine", id=f"id{generation}", generation=generation)
    return {"type": "bind", "binding": made.model_dump(mode="json", by_alias=True)}


UNBIND = {"type": "unbind", "address": "VirtualMachine/a"}


@pytest.mark.parametrize(
    ("records", "left"),
    [
        ([intent(1, 1), result(1, "unknown"), intent(2, 1), result(2, "refused")], [1]),
        ([intent(1, 1), result(1, "unknown"), intent(2, 1), result(2, "not-sent")], [1]),
        ([intent(1, 1), result(1, "unknown"), intent(2, 1)], [1, 2]),
        ([intent(1, 1), result(1, "unknown"), intent(2, 1), result(2, "unknown")], [2]),
        ([intent(1, 1), result(1, "unknown"), intent(2, 1), result(2, "done"), bind(1)], []),
        ([intent(1, 1), result(1, "refused")], []),
        ([intent(1, 1), result(1, "partial")], [1]),
        ([intent(1, 1), result(1, "unknown"), intent(2, 1), result(2, "partial")], [2]),
        ([bind(1), intent(1, 1, creates=False), result(1, "partial")], []),
        ([bind(1), intent(1, 2), result(1, "unknown"), bind(1)], [1]),
        ([bind(1), intent(1, 2), result(1, "unknown"), UNBIND], [1]),
        ([intent(1, 1), result(1, "unknown"), intent(2, 2), bind(2)], [1]),
        ([bind(1), intent(1, 1, creates=False), result(1, "unknown"), UNBIND], []),
    ],
    ids=[
        "a refused try does not settle an earlier one",
        "nor does one that was not sent",
        "two tries, the second without an answer",
        "the later of two replaces both",
        "seen",
        "refused at once",
        "refused when part of it was done",
        "the same after a try without an answer",
        "a change that was refused when part of it was done: its fields say so",
        "the old machine was seen, not the new one",
        "the old machine is gone, the new one was not seen",
        "another try was seen, under its own id",
        "what is gone needs no answer",
    ],
)
def test_what_stays_pending(records: list[dict[str, Any]], left: list[int]) -> None:
    assert [i.number for i in fold(EMPTY, [BEGIN, *records]).open] == left


@st.composite
def histories(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Records as an engine writes them: intents numbered in order, at most one result each."""
    made: list[dict[str, Any]] = []
    unanswered: list[int] = []
    for number in range(1, draw(st.integers(1, 12)) + 1):
        made.append(intent(number, draw(st.integers(1, 3)), creates=draw(st.booleans())))
        unanswered.append(number)
        if draw(st.booleans()):
            answered = draw(st.sampled_from(unanswered))
            unanswered.remove(answered)
            made.append(result(answered, draw(st.sampled_from(["done", "unknown", "refused", "partial", "not-sent"]))))
        if draw(st.integers(0, 4)) == 0:
            made.append(bind(draw(st.integers(1, 3))))
    return made


def carried_out_perhaps(records: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """(goal, id) of every call that may have been carried out, of an object that was not seen since."""
    for place, record in enumerate(records):
        if record["type"] != "intent":
            continue
        made, later = record["operation"], records[place:]
        answers = [r["outcome"] for r in later if r["type"] == "result" and r["number"] == made["number"]]
        seen = [r["binding"]["generation"] for r in later if r["type"] == "bind"]
        settled = answers and answers[0] in {"refused", "not-sent", *(() if made["creates"] else ("partial",))}
        if not settled and not (made["generation"] in seen if made["creates"] else seen):
            yield made["goal"], made["id"]


@given(histories(), st.integers(0, 30))
def test_a_call_that_may_have_been_carried_out_is_pending(records: list[dict[str, Any]], split: int) -> None:
    state = fold(fold(EMPTY, [BEGIN, *records[:split]]), [BEGIN, *records[split:]])
    assert {(i.goal, i.id) for i in state.open} == set(carried_out_perhaps(records))
    assert state == fold(EMPTY, [BEGIN, *records])


def test_a_creation_that_runs_late_is_adopted_though_its_repeat_was_refused(tmp_path: Path) -> None:
    emulated = Emulated(
        project(tmp_path, vm()),
        {
            "faults": [
                FaultSpec(op="tasks.create", kind="late", seconds=900.0),
                FaultSpec(op="tasks.create", kind="refuse", nth=2, text="disk space is full"),
            ]
        },
    )
    assert emulated.run("apply", "--yes").code == 1
    emulated.settle()
    [created] = emulated.vms
    again = emulated.run("apply", "--yes")
    assert again.code == 0, again.out + again.err
    assert list(emulated.vms) == [created]
    assert emulated.run("plan", "--detailed-exitcode").code == 0
    emulated.close()


LAN = document("Network", "training", {"via": "gpu-a", "cidr": "192.168.66.0/24"})


def test_what_a_refused_creation_has_made_all_the_same_is_taken_away_when_nothing_wants_it(tmp_path: Path) -> None:
    """The node wrote the LAN to memory, could not write it to its disk, and said no. It is there at the next look."""
    text = "write network db failed"
    emulated = Emulated(
        project(tmp_path / "own", LAN), {"faults": [FaultSpec(op="lan.create", kind="refuse", text=text)]}
    )
    assert emulated.run("apply", "--yes").code == 1
    by_other_hands = project(tmp_path / "other", LAN, environ=emulated.project.environ)
    run = emulated.loop.run_until_complete
    assert by_other_hands.run("apply", "--yes", transport=emulated.network.transport, run=run).code == 0
    assert emulated.left == 1
    project(tmp_path / "own", environ=emulated.project.environ)
    result = emulated.run("apply", "--yes", "--allow-empty")
    assert result.code == 0, result.out + result.err
    assert emulated.left == 0
    emulated.close()
