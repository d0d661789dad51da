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
    for _ in range(900):
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
