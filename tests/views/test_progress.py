"""Progress of an apply: lines, live tree, events, and the end report in its formats."""

from __future__ import annotations

import io
import json

import jsonschema
import pytest
from rich.console import Console

from dbc_iac.apply.report import Event, Report
from dbc_iac.diagnostics import Diagnostic, Severity
from dbc_iac.plan.model import Action
from dbc_iac.views.json.events import KINDS, begin_json, end_json, event_json, event_schema
from dbc_iac.views.live import LiveProgress
from dbc_iac.views.markdown.apply import report_markdown
from dbc_iac.views.progress import REMIND_SECONDS, PlainProgress
from dbc_iac.views.text.apply import report_text
from dbc_iac.views.text.lines import Screen
from tests.views.plans import HOSTILE, everything

VM = "VirtualMachine/a"
WAITING = Event("waiting", "Image/big", "downloading big.qcow2", 70.0, {"status": "downloading (42 %)"})
REPORT = Report(
    done={"Disk/d": Action.CREATE, "Network/n": Action.UPDATE},
    failed={VM: f"refused by the node: allocate gpu failed {HOSTILE}"},
    not_started={"Disk/e": f"it needs {VM}, which failed"},
    waiting={"Image/big": "still downloading (42 %)"},
    powered_off={VM: "its replacement is still being created"},
    unknown=("VirtualMachine/u",),
    diagnostics=(Diagnostic("goal-failed", Severity.ERROR, f"{VM}: allocate gpu failed", remedy="See."),),
    seconds=125.4,
)


def lines(*events: Event) -> list[str]:
    said: list[str] = []
    progress = PlainProgress(said.append)
    for event in events:
        progress.show(event)
    return said


def test_a_line_names_the_resource_the_action_and_its_duration() -> None:
    assert lines(
        Event("call", VM, "creating", 61.4),
        Event("waiting", VM, "creating", 71.5, {"status": "creating"}),  # no news
        WAITING,
        Event("goal-met", VM, "created", 112.4, {"id": "K8"}),
        Event("goal-met", VM, "configured", 112.4),
        Event("step-done", VM, "change", 112.4),
        Event("window-opened", VM, "2 changes", 120.0),
        Event("window-closed", VM, "", 131.0),
        Event("step-failed", VM, "the node refused the call", 132.0),
        Event("step-skipped", "Disk/d", f"needs {VM}, which failed", 132.0),
    ) == [
        "VirtualMachine/a: creating…\n",
        "Image/big: downloading big.qcow2… (0 s, 42%)\n",
        "VirtualMachine/a: created after 51 s [id K8]\n",
        "VirtualMachine/a: configured\n",
        "VirtualMachine/a: power-off window opened (2 changes)\n",
        "VirtualMachine/a: power-off window closed after 11 s\n",
        "VirtualMachine/a: failed\n",
        "Disk/d: not started: needs VirtualMachine/a, which failed\n",
    ]


def test_a_long_silence_is_broken_by_the_actions_under_way() -> None:
    said: list[str] = []
    progress = PlainProgress(said.append)
    progress.show(WAITING)
    said.clear()
    progress.remind(70.0 + REMIND_SECONDS - 1)
    assert said == []
    progress.remind(70.0 + REMIND_SECONDS)
    assert said == ["Image/big: still downloading big.qcow2… (60 s, 42%)\n"]
    progress.remind(70.0 + REMIND_SECONDS + 10)
    assert len(said) == 1
    progress.show(Event("goal-met", "Image/big", "is there", 400.0))
    said.clear()
    progress.remind(9_000.0)
    assert said == []


def test_the_remaining_seconds_of_a_status_are_counted_down_while_it_is_shown() -> None:
    said: list[str] = []
    progress = PlainProgress(said.append)
    status = "cannot be read, timeout in 439 s: list task timeout"
    progress.show(Event("waiting", VM, "powering off", 240.0, {"status": status}))
    live = LiveProgress(io.StringIO(), Screen(colours=False, columns=120), lambda: 250.0, {}, 1)
    live.show(Event("waiting", VM, "powering off", 240.0, {"status": status}))
    shown = Console(file=io.StringIO(), width=120, record=True)
    shown.print(live.drawn())
    assert "timeout in 429 s" in shown.export_text()
    progress.remind(240.0 + REMIND_SECONDS)
    assert said[-1] == f"{VM}: still powering off… (60 s, cannot be read, timeout in 379 s: list task timeout)\n"
    progress.remind(9_000.0)
    assert "timeout in 0 s" in said[-1]


def test_the_tree_shows_the_texts_of_the_lines_by_machine_and_a_bar_for_a_transfer() -> None:
    live = LiveProgress(io.StringIO(), Screen(colours=False, columns=80), lambda: 100.0, {"Image/big": "Node/gpu-b"}, 7)
    live.show(Event("call", VM, f"creating {HOSTILE}", 40.0))
    live.show(WAITING)
    live.show(Event("step-done", "Disk/d", "change", 71.0))
    shown = Console(file=io.StringIO(), width=100, record=True)
    shown.print(live.drawn())
    text = shown.export_text()
    assert "Applying (100 s): 1 of 7 changes finished, 2 in progress" in text
    assert "Node/gpu-b" in text
    assert "━━━━━━━━──────────── Image/big: downloading big.qcow2… (30 s, 42%)" in text
    assert "VirtualMachine/a: creating </details>" in text
    assert "\x1b" not in text


@pytest.mark.parametrize("machines", [0, 7, 500])
def test_a_large_tree_leaves_room_for_the_lines(monkeypatch: pytest.MonkeyPatch, machines: int) -> None:
    monkeypatch.setenv("LINES", "24")
    places = {f"VirtualMachine/w-{n}": f"Node/n-{n % machines}" for n in range(500)} if machines else {}
    live = LiveProgress(io.StringIO(), Screen(columns=80), lambda: 1.0, places, 500)
    for n in range(500):
        live.show(Event("call", f"VirtualMachine/w-{n}", "create", 0.0))
    shown = Console(file=io.StringIO(), width=80, record=True)
    shown.print(live.drawn())
    rows = shown.export_text().splitlines()
    assert len(rows) <= 16
    told = sum("VirtualMachine/w-" in row for row in rows)
    assert told >= 7
    assert f"... and {500 - told} more" in rows[-1]


def test_an_interrupt_stays_in_the_head_of_the_tree_and_no_row_reaches_the_edge() -> None:
    live = LiveProgress(io.StringIO(), Screen(columns=80), lambda: 1.0, {}, 1)
    live.show(Event("call", VM, "x" * 200, 0.0))
    written = io.StringIO()
    live.notice("Interrupted: finishing calls in flight.")
    Console(file=written, width=live.width).print(live.drawn())
    assert "0 of 1 changes finished, 1 in progress, Interrupted\n" in written.getvalue()
    assert max(map(len, written.getvalue().splitlines())) < 80 - len("^C")


@pytest.mark.parametrize("value", [
    begin_json(everything()), end_json(REPORT), *(event_json(Event(k, VM, "x", 1.23456, {"a": 1})) for k in KINDS),
])  # fmt: skip
def test_every_event_fits_its_schema(value: dict[str, object]) -> None:
    schema = event_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    line = json.loads(json.dumps({**value, "time": "2026-01-01T00:00:00.000+00:00"}))
    jsonschema.validate(line, schema)
    assert not jsonschema.Draft202012Validator(schema).is_valid({**line, "event": "other"})


def test_the_end_report_as_text_has_every_section() -> None:
    text = report_text(REPORT)
    last = "Apply failed (3 min): 1 created, 1 updated, 0 deleted, 1 failed, 1 not started, 1 not finished.\n"
    assert text.endswith(f"\n\n{last}")
    for part in ("Failed:", "Not started:", "Not finished", "Powered off by this apply:", "Could not be read"):
        assert part in text


def test_the_end_report_as_markdown_has_every_section_and_no_foreign_markup() -> None:
    text = report_markdown(REPORT)
    assert "## dbc-iac: Apply failed \\(3 min\\): 1 created, 1 updated, 0 deleted, 1 failed" in text
    assert "**Help**" in text
    assert "Power off or delete VMs that hold them" in text
    assert "<img" not in text.replace("\\<img", "")
    assert "<details><summary>2 done</summary>" in text


def test_a_remedy_is_listed_once_with_its_resources() -> None:
    failed = {f"VirtualMachine/w-{n}": "refused by the node: allocate gpu failed" for n in range(9)}
    problems = tuple(
        Diagnostic("goal-failed", Severity.ERROR, f"{a}: {why}", remedy="See.", address=a) for a, why in failed.items()
    )
    text = report_markdown(Report(failed=failed, diagnostics=problems))
    assert text.count("not enough free GPUs on the node") == 9
    assert "- VirtualMachine/w-0, VirtualMachine/w-1, VirtualMachine/w-2 and 6 more: Power off" in text


@pytest.mark.parametrize(("made", "line"), [
    (Report(done=dict.fromkeys("abcdefg", Action.CREATE), seconds=43.7),
     "Apply complete (43 s): 7 created, 0 updated, 0 deleted."),
    (Report(done={"A/b": Action.DELETE, "A/c": Action.FORGET}, destroy=True),
     "Destroy complete (0 s): 0 created, 0 updated, 1 deleted, 1 removed from the state."),
    (Report(done={"A/b": Action.REPLACE}, failed={"A/c": "why"}),
     "Apply failed (0 s): 0 created, 0 updated, 0 deleted, 1 replaced, 1 failed."),
    (Report(waiting={"A/c": "why"}), "Apply incomplete (0 s): 0 created, 0 updated, 0 deleted, 1 not finished."),
    (Report(moved=("A/b to A/c",)), "Apply complete (0 s): 0 created, 0 updated, 0 deleted, 1 moved."),
    (Report(interrupted=True), "Apply interrupted (0 s): 0 created, 0 updated, 0 deleted."),
])  # fmt: skip
def test_the_last_line_counts_by_action(made: Report, line: str) -> None:
    assert report_text(made).splitlines()[-1] == line
