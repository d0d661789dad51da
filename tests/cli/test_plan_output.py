"""The same plan in all its forms, through the command line: options, files, and what a terminal gets."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from dbc_iac.cli.plan_documents import write_parts
from dbc_iac.emulator import FaultSpec
from dbc_iac.kinds.virtual_machine.creation import VmExists
from dbc_iac.views.json.events import event_schema
from dbc_iac.views.json.schemas import plan_schema, report_schema
from dbc_iac.views.markdown.plan import part_mark
from tests.projects import Emulated, document, project, vm

CANARY = "canary-of-a-login"
LOGIN: dict[str, Any] = {"login": {"password": {"env": "PW"}}}
DISK = document("Disk", "scratch", {"vm": "trainer", "size": "50Gi"})


@pytest.fixture
def make(world: Callable[..., Emulated]) -> Callable[..., Emulated]:
    return partial(world, environ={"PW": CANARY})


def test_one_plan_in_all_its_forms(make: Callable[..., Emulated], tmp_path: Path) -> None:
    emulated = make(vm(**LOGIN), DISK)
    emulated.run("apply", "--yes")
    project(tmp_path, vm(**LOGIN, memory="16Gi"), DISK, environ=emulated.project.environ)
    kept, markdown, page = tmp_path / "the.plan", tmp_path / "plan.md", tmp_path / "plan.html"
    text = emulated.run("plan", "-o", str(kept), "--markdown", str(markdown), "--html", str(page))
    asked = emulated.run("plan", "--json").json
    jsonschema.validate(asked, plan_schema())
    assert json.loads(kept.read_text()) == asked
    for shown in (text.out, markdown.read_text(), emulated.run("show", str(kept)).out):
        assert "Plan: 0 to create, 1 to update, 0 to delete." in shown
        assert "1 VM will be powered off. About 3 API calls." in shown
        assert "VirtualMachine/trainer on Node/gpu-a: will be powered off and started again" in shown.replace("\\", "")
        assert "memory: 8Gi -> 16Gi  (needs a restart)" in shown
    assert "will be powered off and started again (memory)" in page.read_text()
    assert "off for about 45 s" in page.read_text()
    for shown in (text.out, text.err, markdown.read_text(), kept.read_text(), page.read_text()):
        assert CANARY not in shown


def test_full_tells_every_resource(make: Callable[..., Emulated]) -> None:
    emulated = make(*(vm(f"w-{n}", gpus=0, cpus=1, memory="1Gi") for n in range(5)))
    assert "5 x VirtualMachine  create" in emulated.run("plan").out
    assert "VirtualMachine/w-4  create" in emulated.run("plan", "--full").out


def test_the_end_of_an_apply_in_json_fits_its_schema_and_is_redacted(make: Callable[..., Emulated]) -> None:
    emulated = make(vm(**LOGIN))
    said = f"image_name' is not exist, pwd:{CANARY}"
    emulated.network.faults.add(FaultSpec(op="tasks.create", kind="refuse", text=said, times=9))
    result = emulated.run("apply", "--yes", "--json")
    jsonschema.validate(result.json["report"], report_schema())
    assert result.code == 1
    [told] = json.loads(result.err)["diagnostics"]
    assert told["summary"] == "VirtualMachine/trainer: the image file is not on the node"
    assert told["detail"].startswith("The node does not have this file.")
    assert "Message: image_name' is not exist, pwd:***." in told["detail"]
    assert told["remedy"].startswith("Add an Image for the file")
    text = emulated.run("apply", "--yes")
    assert CANARY not in result.out + result.err + text.out + text.err


def test_a_file_that_cannot_be_written_is_a_problem(make: Callable[..., Emulated], tmp_path: Path) -> None:
    result = make(vm(**LOGIN)).run("plan", "--markdown", str(tmp_path / "no" / "plan.md"), "--json")
    assert (result.code, result.codes) == (3, ["unwritable-file"])


def test_an_apply_is_followed_by_lines_and_by_events_at_the_same_time(
    make: Callable[..., Emulated], tmp_path: Path
) -> None:
    events, report = tmp_path / "events.ndjson", tmp_path / "report.md"
    result = make(vm(**LOGIN), DISK).run("apply", "--yes", "--events", str(events), "--report", str(report))
    assert result.code == 0
    assert "Disk/scratch: added 50 GiB in /data after" in result.err
    assert "## dbc-iac: Apply complete" in report.read_text()
    lines = [json.loads(line) for line in events.read_text().splitlines()]
    validator = jsonschema.Draft202012Validator(event_schema())
    assert [e.message for line in lines for e in validator.iter_errors(line)] == []
    assert (lines[0]["event"], lines[0]["changes"], lines[-1]["event"]) == ("begin", 2, "end")
    assert lines[-1]["report"]["done"] == {"Disk/scratch": "create", "VirtualMachine/trainer": "create"}
    assert [line["at"] for line in lines[1:]] == sorted(line["at"] for line in lines[1:])
    seen = {line["event"] for line in lines}
    assert {"call", "goal-met", "window-opened", "window-closed", "step-started", "step-done"} <= seen


def test_events_on_standard_output_are_its_only_content(make: Callable[..., Emulated]) -> None:
    emulated = make(vm(**LOGIN))
    result = emulated.run("apply", "--yes", "--events", "-")
    lines = [json.loads(line) for line in result.out.splitlines()]
    assert (lines[0]["event"], lines[-1]["event"]) == ("begin", "end")
    assert "Plan: 1 to create" in result.err
    assert "Apply complete" in result.err
    refused = emulated.run("apply", "--yes", "--events", "-", "--json")
    assert (refused.code, refused.codes) == (3, ["usage"])


def test_an_apply_outlives_its_log_of_events(make: Callable[..., Emulated]) -> None:
    result = make(vm(**LOGIN)).run("apply", "--yes", "--events", "/dev/full")
    assert result.code == 0
    assert result.err.count("cannot write events any more") == 1


def test_what_a_node_says_is_redacted_in_events_and_in_the_report(
    make: Callable[..., Emulated], tmp_path: Path
) -> None:
    emulated = make(vm(**LOGIN))
    emulated.network.faults.add(FaultSpec(op="tasks.create", kind="refuse", text=f"no {CANARY}", times=9))
    written = [tmp_path / n for n in ("events", "report.json", "report.md", "report.txt")]
    for report in written[1:]:
        assert emulated.run("apply", "--yes", "--events", str(written[0]), "--report", str(report)).code == 1
    for file in written:
        assert "refused by the node: no ***" in file.read_text().replace("\\", "")
        assert CANARY not in file.read_text()
    jsonschema.validate(json.loads(written[1].read_text()), report_schema())


def test_a_copy_of_a_state_is_shown_as_the_state_is(make: Callable[..., Emulated], tmp_path: Path) -> None:
    emulated = make(vm(**LOGIN))
    emulated.run("apply", "--yes")
    copy = tmp_path / "copy.json"
    copy.write_text((tmp_path / "state/main.json").read_text())
    assert emulated.run("show", str(copy)).out == emulated.run("show").out
    kept = json.loads(copy.read_text())
    copy.write_text(json.dumps({"formatVersion": 1, "state": kept, "journal": []}))
    assert emulated.run("show", str(copy)).out == emulated.run("show").out, "what an apply could not write"
    copy.write_text(json.dumps({**kept, "formatVersion": 99}))
    newer = emulated.run("show", str(copy), "--json")
    assert (newer.code, newer.codes, newer.out) == (5, ["state-newer"], "")
    copy.write_text('{"bindings": 1}')
    assert emulated.run("show", str(copy), "--json").codes == ["not-a-state"]
    for text in ("{}", "[1]", "garbage", json.dumps(kept)[:-9]):
        copy.write_text(text)
        neither = emulated.run("show", str(copy), "--json")
        assert (neither.code, neither.codes) == (3, ["not-a-plan-or-state"])


def test_files_are_written_with_json_too(make: Callable[..., Emulated], tmp_path: Path) -> None:
    page = tmp_path / "plan.html"
    assert make(vm(**LOGIN)).run("apply", "--yes", "--json", "--html", str(page)).code == 0
    assert "VirtualMachine/trainer" in page.read_text()


def test_the_markdown_says_why_there_is_no_plan(make: Callable[..., Emulated], tmp_path: Path) -> None:
    emulated = make(vm(**LOGIN))
    emulated.run("apply", "--yes")
    emulated.project.write({"manifests/all.yaml": "kind: None\n"})
    page = tmp_path / "plan.md"
    page.write_text("an older plan")
    refused = emulated.run("plan", "--markdown", str(page))
    assert refused.code == 3
    text = page.read_text()
    assert text.startswith("## dbc-iac: plan failed\n\nThe plan failed with exit code 3.\n\n<pre>\n")
    assert html.escape(refused.err.strip()) in text


def test_a_replacement_tells_the_old_vm_from_the_new_one(make: Callable[..., Emulated], tmp_path: Path) -> None:
    emulated = make(vm())
    emulated.run("apply", "--yes")
    [old] = emulated.vms
    project(tmp_path, vm(multicast=["230.0.0.1:5558"]), environ=emulated.project.environ)
    steps = emulated.run("plan").out.partition("Steps:")[2]
    told = [f"powering off the old VM {old}", "creating", "configuring", f"deleting the old VM {old}"]
    places = [steps.find(text) for text in told]
    assert -1 not in places
    assert places == sorted(places)
    emulated.network.faults.add(FaultSpec(op="tasks.create", kind="refuse", text="no room", times=9))
    failed = emulated.run("apply", "--yes")
    assert "VirtualMachine/trainer: the old VM was started again" in failed.err
    assert "refused by the node: no room" in failed.err
    emulated.network.faults.clear()
    applied = emulated.run("apply", "--yes").err
    for call in (f"powering off the old VM {old}", "creating", f"deleting the old VM {old}"):
        assert f"VirtualMachine/trainer: {call}…\n" in applied


def test_the_lines_of_an_apply_name_the_actions(make: Callable[..., Emulated], tmp_path: Path) -> None:
    emulated = make(vm())
    created = emulated.run("apply", "--yes").err
    project(tmp_path, vm(memory="16Gi"), environ=emulated.project.environ)
    changed = emulated.run("apply", "--yes").err
    assert re.search(r"VirtualMachine/trainer: created after \d+ s \[id \w+\]\n", created)
    assert [re.sub(r"\d+ s$", "N s", line) for line in changed.splitlines() if "… (" not in line] == [
        "VirtualMachine/trainer: power-off window opened (1 change)",
        "VirtualMachine/trainer: powering off…",
        "VirtualMachine/trainer: powered off after N s",
        "VirtualMachine/trainer: setting memory to 16Gi…",
        "VirtualMachine/trainer: set memory to 16Gi after N s",
        "VirtualMachine/trainer: starting…",
        "VirtualMachine/trainer: started after N s",
        "VirtualMachine/trainer: power-off window closed after N s",
    ]
    assert not re.search(r"vm-|port forwards", created + changed)


@pytest.mark.parametrize(("action", "done"), [
    ("creating", "created"), ("adding 40 GiB in /data", "added 40 GiB in /data"), ("powering off", "powered off"),
    ("setting memory to 16Gi", "set memory to 16Gi"),
])  # fmt: skip
def test_the_done_form_of_an_action_is_its_past_participle(action: str, done: str) -> None:
    class Acting(VmExists, frozen=True):
        action_text = action

    assert Acting.done_text.fget(Acting) == done  # type: ignore[attr-defined]


def test_a_refusal_by_a_policy_is_in_show_and_in_the_comment(make: Callable[..., Emulated], tmp_path: Path) -> None:
    emulated = make(vm())
    file, kept, markdown = tmp_path / "dbc-iac.yaml", tmp_path / "the.plan", tmp_path / "plan.md"
    policy = "  policies: [{name: p, deny: 'change.action == \"create\"', message: objected-marker}]\n"
    file.write_text(file.read_text() + policy)
    planned = emulated.run("plan", "-o", str(kept), "--markdown", str(markdown))
    assert planned.code == 5, planned.err
    assert "error[policy-denied]" in planned.err
    assert "+ VirtualMachine/trainer  create: refused (policy-denied)" in planned.out
    for text in (planned.out, markdown.read_text(), emulated.run("show", str(kept)).out):
        assert "Refused" in text
        assert "objected" in text
    assert "> [!CAUTION]\n> **Refused**" in markdown.read_text()


def test_parts_of_an_earlier_plan_do_not_stay_beside_a_smaller_one(tmp_path: Path) -> None:
    file = tmp_path / "plan.md"
    write_parts(file, [f"{part_mark(n)}3.*" for n in (1, 2, 3)])
    (tmp_path / "plan-4.md").write_text("notes of somebody")
    write_parts(file, ["alone"])
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {
        "plan.md": "alone", "plan-4.md": "notes of somebody"
    }  # fmt: skip
    write_parts(tmp_path / "notes.md", ["alone"])
    (tmp_path / "notes-2.md").write_text("notes of somebody")
    write_parts(tmp_path / "notes.md", ["alone"])
    assert (tmp_path / "notes-2.md").exists()


def test_a_warning_is_printed_once_with_a_blank_line_before_the_plan(make: Callable[..., Emulated]) -> None:
    planned = make(vm(image="no-such.qcow2")).run("plan")
    assert planned.err.startswith("warning[node-may-refuse]: no-such.qcow2 is not listed on gpu-a\n")
    assert planned.err.endswith("\n\n")
    assert "is not listed" not in planned.out


def test_a_failure_is_printed_once_and_the_report_file_has_it(make: Callable[..., Emulated], tmp_path: Path) -> None:
    emulated = make(vm())
    emulated.network.faults.add(FaultSpec(op="tasks.create", kind="refuse", text="unheard-of reason", times=9))
    failed = emulated.run("apply", "--yes", "--report", str(tmp_path / "report.txt"))
    assert failed.err.count("error[goal-failed]: VirtualMachine/trainer: refused by the node: unheard-of reason\n") == 1
    assert "unheard-of reason" not in failed.out
    assert failed.out.endswith("\n\nApply failed (0 s): 0 created, 0 updated, 0 deleted, 1 failed.\n")
    assert (
        "Failed:\n  VirtualMachine/trainer: refused by the node: unheard-of reason\n"
        in (tmp_path / "report.txt").read_text()
    )
