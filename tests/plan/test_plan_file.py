"""Altered plan files: a value of another type is refused or shown."""

from __future__ import annotations

import copy
import html
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dbc_iac.diagnostics import DiagnosticError
from dbc_iac.plan.model import canonical_digest
from dbc_iac.plan.serialization import read_plan
from dbc_iac.plan.signature import new_key, sign
from dbc_iac.views.markdown.plan import plan_markdown
from dbc_iac.views.text.lines import PLAIN_TEXT
from dbc_iac.views.text.plan import plan_lines
from tests.projects import Emulated, document, project, vm
from tests.views.plans import plan_page

WRONG: tuple[Any, ...] = (None, -1, 10**30, 1.5, True, "x", "\ud800", [], [1], {}, {"x": 1})
HOOK: dict[str, Any] = {"lifecycle": {"beforeOffline": {"command": ["true"]}}}
LOGIN: dict[str, Any] = {"login": {"password": {"env": "PW"}}}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Emulated, Path]]:
    """A project with a VM, and a plan file that changes it, with a hook and a secret."""
    directory = tmp_path_factory.mktemp("plan")
    emulated = Emulated(project(directory, vm(**LOGIN, **HOOK), environ={"PW": "made-up-password"}))
    assert emulated.run("apply", "--yes").code == 0
    disk = document("Disk", "more", {"vm": "trainer", "size": "50Gi"})
    project(directory, vm(memory="16Gi", **LOGIN, **HOOK), disk, environ=emulated.project.environ)
    file = directory / "the.plan"
    assert emulated.run("plan", "-o", str(file)).code == 0
    yield emulated, file
    emulated.close()


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from paths(inner, (*path, key))


def altered(plan: dict[str, Any], path: tuple[Any, ...], new: Any) -> dict[str, Any]:
    """The plan with another value and the digest that fits it."""
    result = copy.deepcopy(plan)
    place: Any = result
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = new
    result["digest"] = canonical_digest({k: v for k, v in result.items() if k not in {"diagnostics", "digest"}})
    return result


def test_a_value_of_another_type_is_refused_or_shown(made: tuple[Emulated, Path]) -> None:
    plan = json.loads(made[1].read_text())
    refused = 0
    for number, path in enumerate(p for p in paths(plan) if p and p != ("digest",)):
        for wrong in (
            WRONG[number % len(WRONG)],
            WRONG[(number * 7 + 3) % len(WRONG)],
            WRONG[(number * 3 + 5) % len(WRONG)],
        ):
            try:
                read = read_plan(altered(plan, path, wrong))
            except DiagnosticError as error:
                refused += 1
                assert error.exit_code == 3
                continue
            PLAIN_TEXT.render(plan_lines(read)).encode()
            "".join(plan_markdown(read)).encode()
    assert refused > 300


@pytest.mark.parametrize(
    ("path", "new", "word"),
    [
        (("hooks", "VirtualMachine/trainer"), {"command": "reboot"}, "hooks.VirtualMachine/trainer"),
        (("hooks", "VirtualMachine/trainer", "timeout"), [], "hooks.VirtualMachine/trainer"),
        (("changes", 1, "secrets", "login.password"), {"exec": []}, "secrets.login.password"),
        (("changes", 1, "placement", "route"), {}, "placement.route is not a route"),
        (("changes", 1, "kind"), "Vm", "kind is not a kind"),
        (("changes", 1, "desired", "memory"), "lots", "desired.memory"),
        (("changes", 1, "desired", "memory"), "7.81Gi", "desired.memory"),
        (("changes", 0, "action"), "remove", "Invalid enum value 'remove' - at `$.changes[0].action`"),
        (("steps", 0, "seconds"), "60", "Expected `int`, got `str` - at `$.steps[0].seconds`"),
        (("steps", 0, "address"), "Disk/other", "steps.Disk/other has no change"),
        (("options", "targets"), "all", "options: Expected `array`, got `str` - at `$.targets`"),
        (("formatVersion",), "1", "formatVersion is not an integer"),
    ],
    ids=lambda value: ".".join(map(str, value)) if isinstance(value, tuple) else None,
)
def test_a_damaged_plan_file_is_refused_before_any_call(
    made: tuple[Emulated, Path], path: tuple[Any, ...], new: Any, word: str, tmp_path: Path
) -> None:
    emulated, file = made
    bad = tmp_path / "bad.plan"
    bad.write_text(json.dumps(altered(json.loads(file.read_text()), path, new)))
    for command in (("show", str(bad)), ("apply", str(bad)), ("apply", "--yes", "--expect", str(bad))):
        result = emulated.run(*command)
        assert (result.code, "error[not-a-plan]: the plan file is damaged" in result.err) == (3, True), result.err
        assert word in result.err
    assert emulated.run("plan").code == 0, "no journal record blocks it"


@pytest.mark.parametrize("new", [{}, {"x": 1}, {"dataDisk.size": "much"}])
def test_desired_values_that_no_resource_has_are_refused_before_anything_is_sent(
    made: tuple[Emulated, Path], new: Any, tmp_path: Path
) -> None:
    emulated, file = made
    plan = json.loads(file.read_text())
    number = next(n for n, change in enumerate(plan["changes"]) if change["kind"] == "VirtualMachine")
    bad = tmp_path / "bad.plan"
    bad.write_text(json.dumps(altered(plan, ("changes", number, "desired"), new)))
    before = emulated.vms
    result = emulated.run("apply", str(bad))
    assert (result.code, "error[not-a-plan]: the plan file is damaged" in result.err) == (3, True), result.err
    assert emulated.vms == before


def test_a_plan_that_is_nested_too_deep_is_refused(made: tuple[Emulated, Path]) -> None:
    deep: Any = 1
    for _ in range(100_000):
        deep = [deep]
    plan = json.loads(made[1].read_text())
    plan["changes"][0]["desired"]["x"] = deep
    with pytest.raises(DiagnosticError) as caught:
        read_plan(plan)
    assert caught.value.diagnostics[0].code == "not-a-plan"


def test_a_page_shows_a_plan_that_was_altered(made: tuple[Emulated, Path]) -> None:
    plan = json.loads(made[1].read_text())
    assert "<html" in plan_page(read_plan(altered(plan, ("changes", 1, "placement", "node"), "</script>")))


def test_a_signature_of_an_unknown_version_is_refused_before_anything_is_read(
    made: tuple[Emulated, Path], tmp_path: Path
) -> None:
    emulated, file = made
    head = json.loads(sign(file.read_bytes(), new_key()).partition(b"\n")[0])
    bad = tmp_path / "signed.plan"
    for version in (2, 0, "1", True, None):
        bad.write_bytes(json.dumps({**head, "dbcIacSignedPlan": version}).encode() + b"\n" + file.read_bytes())
        result = emulated.run("show", str(bad))
        assert (result.code, "error[plan-format]" in result.err) == (5, True), result.err


@pytest.mark.parametrize(
    ("path", "new", "word"),
    [
        (("kind",), "Vm", "no usable kind"),
        (("route",), {}, "no usable route"),
        (("route", "target"), "x", "no usable route"),
        (("route", "clients"), "default", "no usable route"),
        (("applied", "memory"), "lots", "no usable applied.memory"),
        (("applied", "gpus"), [], "no usable applied.gpus"),
    ],
)
def test_a_state_with_a_value_that_no_apply_writes_is_refused(
    path: tuple[str, ...], new: Any, word: str, made: tuple[Emulated, Path]
) -> None:
    emulated, _ = made
    file = emulated.project.directory / "state/main.json"
    before = file.read_text()
    state = json.loads(before)
    place = state["bindings"]["VirtualMachine/trainer"]
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = new
    file.write_text(json.dumps(state))
    try:
        result = emulated.run("plan")
        assert (result.code, f"{word} for VirtualMachine/trainer" in result.err) == (1, True), result.err
    finally:
        file.write_text(before)


def test_programs_and_secrets_of_a_plan_file_are_shown_from_the_file_in_every_form(
    made: tuple[Emulated, Path], tmp_path: Path
) -> None:
    """The file says another hook and another source of the password than the manifests did."""
    emulated, file = made
    plan = altered(
        json.loads(file.read_text()), ("hooks", "VirtualMachine/trainer", "command"), ["sh", "-c", "curl evil"]
    )
    number = next(n for n, c in enumerate(plan["changes"]) if c["address"] == "VirtualMachine/trainer")
    plan = altered(plan, ("changes", number, "secrets", "login.password"), {"exec": ["steal", "a b"]})
    bad, markdown, page = tmp_path / "bad.plan", tmp_path / "plan.md", tmp_path / "plan.html"
    bad.write_text(json.dumps(plan))
    text = emulated.run("show", str(bad), "--markdown", str(markdown), "--html", str(page)).out
    for shown in (text, markdown.read_text().replace("\\", ""), html.unescape(page.read_text())):
        assert "beforeOffline: sh -c 'curl evil' (timeout 120 s, failure is ignored)" in shown
        assert "login.password: program steal 'a b', for VirtualMachine/trainer" in shown
    asked = emulated.run("show", str(bad), "--json").json
    assert asked["hooks"]["VirtualMachine/trainer"]["command"] == ["sh", "-c", "curl evil"]
    assert asked["changes"][number]["secrets"]["login.password"] == {"exec": ["steal", "a b"]}


def test_a_plan_file_that_names_an_unknown_identity_is_refused(made: tuple[Emulated, Path], tmp_path: Path) -> None:
    emulated, file = made
    bad = tmp_path / "bad.plan"
    bad.write_text(
        json.dumps(altered(json.loads(file.read_text()), ("changes", 0, "placement", "route", "identity"), "nobody"))
    )
    result = emulated.run("apply", str(bad), "--json")
    assert (result.code, result.codes) == (5, ["plan-stale"])


@pytest.mark.parametrize("alter", [lambda errors: [], lambda errors: [{**errors[0], "severity": "note"}]])
def test_a_refused_plan_without_its_errors_is_refused(
    alter: Callable[[list[Any]], list[Any]], made: tuple[Emulated, Path], tmp_path: Path
) -> None:
    """The project has no manifests any more: its steps delete everything."""
    emulated, _ = made
    manifests, bad = emulated.project.directory / "manifests", tmp_path / "bad.plan"
    before, vms = {file: file.read_text() for file in manifests.iterdir()}, emulated.vms
    try:
        for file in before:
            file.write_text("")
        assert emulated.run("plan", "-o", str(bad)).code == 5
    finally:
        for file, text in before.items():
            file.write_text(text)
    plan = json.loads(bad.read_text())
    errors = [d for d in plan["diagnostics"] if d["severity"] == "error"]
    assert [error["code"] for error in errors] == ["empty-manifests"]
    assert read_plan(plan).steps
    bad.write_text(json.dumps({**plan, "diagnostics": alter(errors)}))
    result = emulated.run("apply", "--yes", str(bad), "--json")
    assert (result.code, result.codes, emulated.vms) == (3, ["plan-altered"], vms)


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Emulated, dict[str, Any]]]:
    """A plan that updates `trainer`, deletes `second`, replaces `third`, creates `fourth`, and grows a disk."""
    directory = tmp_path_factory.mktemp("several")
    disk = document("Disk", "scratch", {"vm": "trainer", "size": "10Gi"})
    emulated = Emulated(project(directory, vm(), vm("second", gpus=0), vm("third", gpus=0), disk))
    assert emulated.run("apply", "--yes").code == 0
    project(directory, vm(cpus=6), vm("third", gpus=0), vm("fourth", gpus=0), disk.replace("10Gi", "12Gi"))
    assert emulated.run("plan", "-o", str(directory / "the.plan"), "--replace", "VirtualMachine/third").code == 0
    yield emulated, json.loads((directory / "the.plan").read_text())
    emulated.close()


def rewritten(plan: dict[str, Any], alter: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    """The plan after an alteration of its changes by name, with the digest that fits it."""
    result = copy.deepcopy(plan)
    alter({change["address"].partition("/")[2]: change for change in result["changes"]})
    return altered(result, ("changes",), result["changes"])


def elsewhere(change: dict[str, Any]) -> None:
    """Show another machine than that of the calls."""
    change["desired"]["node"] = "ab" * 32
    next(field for field in change["fields"] if field["path"] == "node")["after"] = "ab" * 32


def hidden_drift(change: dict[str, Any]) -> None:
    """Show other cores than those of the VM."""
    change["observed"]["cpus"] = change["fields"][0]["before"] = 2


def exchanged(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Give a change the object of another one."""
    identity = other["identity"]["oldId"] or other["identity"]["id"]
    key = "oldId" if one["identity"]["oldId"] else "id"
    one["identity"][key], one["observed"] = identity, {}


@pytest.mark.parametrize(
    ("alter", "word"),
    [
        (lambda c: c["fourth"]["desired"].update({"cpus": 20}), "fourth.fields: cpus is not as in"),
        (lambda c: c["fourth"]["desired"].update({"ports.forward": ["tcp,22:22"]}), "fourth.fields: ports.forward"),
        (lambda c: c["fourth"]["fields"].pop(), "fourth.fields: "),
        (lambda c: c["fourth"].update({"fields": []}), "fourth.fields: "),
        (lambda c: c["fourth"]["fields"].reverse(), "fourth.fields: their order"),
        (lambda c: c["trainer"]["fields"][0].update({"secret": True, "after": "(secret)"}), "trainer.fields: cpus is"),
        (lambda c: c["fourth"]["fields"].insert(0, {**c["fourth"]["fields"][0], "after": 1}), "fourth.fields: "),
        (
            lambda c: c["fourth"]["secrets"].update({"login.password": {"env": "OTHER"}}),
            "fourth.fields: login.password",
        ),
        (lambda c: c["third"]["desired"].update({"cpus": 20}), "third.fields: cpus is not as in"),
        (lambda c: c["third"]["desired"].update({"image": "other.qcow2"}), "third.fields: image is not as in"),
        (lambda c: c["trainer"]["desired"].update({"cpus": 20}), "trainer.fields: cpus is not as in"),
        (lambda c: c["trainer"]["desired"].update({"memory": "9Gi"}), "trainer.fields: memory is not as in"),
        (lambda c: c["trainer"]["fields"][0].update({"before": 2}), "trainer.fields: cpus is not as in"),
        (lambda c: c["trainer"]["fields"][0].update({"drift": True}), "trainer.fields: cpus is not as in"),
        (lambda c: c["trainer"]["fields"][0].update({"behaviour": "online"}), "trainer.fields: cpus is not as in"),
        (lambda c: c["trainer"]["fields"].append(c["trainer"]["fields"][0]), "trainer.fields: cpus is not as in"),
        (
            lambda c: c["trainer"].update(
                desired={**c["trainer"]["desired"], "publicIp": "203.0.113.9"}, notes=["publicIp stays"]
            ),
            "trainer.fields: publicIp is not as in",
        ),
        (lambda c: c["third"]["desired"].pop("biosMode"), "third.fields: biosMode is not as in"),
        (lambda c: c["third"]["desired"].update(image=None), "third.fields: image is not as in"),
        (lambda c: c["second"].update(fields=c["trainer"]["fields"]), "second.fields: cpus is not as in"),
        (lambda c: c["trainer"]["desired"].update(node="ab" * 32), "trainer.fields: node is not as in"),
        (lambda c: c["fourth"].update(losses=["all is lost"]), "fourth.losses are not those of its data"),
        (lambda c: elsewhere(c["fourth"]), "fourth.desired.node is not as in placement"),
        (lambda c: c["second"].update({"losses": []}), "second.losses are not those of its data"),
        (lambda c: c["third"].update({"losses": []}), "third.losses are not those of its data"),
    ],
)
def test_a_plan_that_shows_other_values_than_it_sends_is_refused(
    several: tuple[Emulated, dict[str, Any]], alter: Callable[[dict[str, Any]], object], word: str
) -> None:
    with pytest.raises(DiagnosticError) as caught:
        read_plan(rewritten(several[1], alter))
    (problem,) = caught.value.diagnostics
    assert (problem.code, word in problem.detail) == ("not-a-plan", True), problem.detail


def test_a_plan_with_two_changes_of_one_address_is_refused(several: tuple[Emulated, dict[str, Any]]) -> None:
    changes = several[1]["changes"]
    with pytest.raises(DiagnosticError) as caught:
        read_plan(altered(several[1], ("changes",), [*changes, changes[-1]]))
    assert caught.value.diagnostics[0].detail == f"{changes[-1]['address']} has two changes."


@pytest.mark.parametrize(
    ("alter", "word"),
    [
        (lambda c: c["second"]["identity"].update(id=c["trainer"]["identity"]["id"]), ""),
        (lambda c: exchanged(c["second"], c["trainer"]), "VirtualMachine/second is another object"),
        (lambda c: exchanged(c["trainer"], c["second"]), "VirtualMachine/trainer is another object"),
        (lambda c: exchanged(c["third"], c["second"]), "VirtualMachine/third is another object"),
        (lambda c: c["fourth"]["identity"].update(id=c["trainer"]["identity"]["id"]), "is VirtualMachine/trainer."),
        (lambda c: c["scratch"]["placement"].update(parentId=c["second"]["identity"]["id"]), "Disk/scratch is another"),
        (lambda c: c["second"]["oldPlacement"]["route"].update(target="ab" * 32), "It is on another machine"),
        (lambda c: c["trainer"].update(powerOff=False), "powerOff of VirtualMachine/trainer differs"),
        (lambda c: c["third"]["applied"].update(cpus=20), "Its fields are not those of the last apply"),
        (lambda c: c["second"]["resolved"].clear(), "Its fields are not those of the last apply"),
        (lambda c: hidden_drift(c["trainer"]), "VirtualMachine/trainer: cpus was 2, is 4 now"),
        (lambda c: c["trainer"]["observed"].pop("memory"), "VirtualMachine/trainer: memory was nothing, is 8Gi now"),
        (lambda c: c["second"]["observed"].update(x=1), "VirtualMachine/second: x was 1, is nothing now"),
        (lambda c: c["third"].update(losses=[], reasons=["creation failed"]), "the creation of VirtualMachine/third"),
        (lambda c: c["fourth"]["identity"].update(id="A" * 22), "id of VirtualMachine/fourth differs"),
        (
            lambda c: c["fourth"]["identity"].update(marker="dbc-iac:lab/main/third/1/0"),
            "marker of VirtualMachine/four",
        ),
        (lambda c: c["fourth"]["identity"].update(marker=""), "marker of VirtualMachine/fourth differs"),
        (lambda c: c["fourth"]["identity"].update(known=["x"]), "earlier objects of VirtualMachine/fourth differs"),
        (lambda c: c["fourth"]["placement"]["route"].update(rentOrder="9"), "route of VirtualMachine/fourth differs"),
        (lambda c: c["second"]["placement"]["route"].update(clients=[]), "route of VirtualMachine/second differs"),
        (lambda c: c["third"]["oldPlacement"]["route"].update(rentOrder="9"), "old route of VirtualMachine/third"),
        (lambda c: c["trainer"].update(protected=True), "protection of VirtualMachine/trainer differs"),
        (lambda c: c["trainer"].update(dependencies=[]), "dependencies of VirtualMachine/trainer differs"),
        (lambda c: c["trainer"].update(unsettled=True), "earlier outcome of VirtualMachine/trainer differs"),
        (lambda c: c["second"].update(users={"Disk/gone": "x"}), "users of VirtualMachine/second differs"),
    ],
)
def test_a_plan_with_another_object_than_that_of_its_address_is_refused(
    several: tuple[Emulated, dict[str, Any]],
    alter: Callable[[dict[str, Any]], object],
    word: str,
    tmp_path: Path,
) -> None:
    emulated, plan = several
    bad, vms = tmp_path / "bad.plan", emulated.vms
    bad.write_text(json.dumps(rewritten(plan, alter)))
    result = emulated.run("apply", "--yes", str(bad))
    assert (result.code, "plan-stale" in result.err, emulated.vms == vms) == (5, True, True), result.err
    assert word in result.err


@pytest.mark.parametrize(
    ("path", "new", "code", "word"),
    [
        (("moves",), ["Disk/a to Disk/b"], 5, "`moved` of the project file changed"),
        (("closedOperations",), [1], 5, "the plan closes operations that are not pending"),
        (("destroy",), True, 3, "destroy and targets are not those of options"),
        (("options", "destroy"), True, 3, "destroy and targets are not those of options"),
    ],
)
def test_a_plan_that_is_altered_as_a_whole_is_refused(
    several: tuple[Emulated, dict[str, Any]], path: tuple[str, ...], new: Any, code: int, word: str, tmp_path: Path
) -> None:
    emulated, plan = several
    bad = tmp_path / "bad.plan"
    bad.write_text(json.dumps(altered(plan, path, new)))
    result = emulated.run("apply", str(bad))
    assert (result.code, word in result.err) == (code, True), result.err


def test_the_plan_that_was_not_altered_is_applied(several: tuple[Emulated, dict[str, Any]]) -> None:
    """The last test of its fixture: the others are refused for their alterations, and for nothing else."""
    emulated, plan = several
    file = emulated.project.directory / "same.plan"
    file.write_text(json.dumps(rewritten(plan, lambda changes: None)))
    assert emulated.run("apply", "--yes", str(file)).code == 0
