"""Policies: every example does what it says; what cannot be evaluated is refused; plan and apply are held to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from msgspec.structs import replace

from dbc_iac.diagnostics import ExitCode, Severity
from dbc_iac.manifest.project import PolicySpec
from dbc_iac.plan.model import Action, Change
from dbc_iac.policy.evaluation import evaluate, unsound
from dbc_iac.policy.exposure import open_to_world
from tests.projects import PROJECT, Emulated, project, vm
from tests.views.plans import plan

EXAMPLES = yaml.safe_load((Path(__file__).parents[2] / "examples/policies.yaml").read_text())
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


def made(value: dict[str, Any]) -> Change:
    return Change(
        value["address"],
        value["address"].partition("/")[0],
        Action(value.get("action", "update")),
        desired=value.get("desired", {}),
        losses=tuple(value.get("losses", ())),
        power_off=value.get("powerOff", False),
    )


def policy(**parts: str) -> PolicySpec:
    return PolicySpec.model_validate({"name": "p", "message": "no", **parts})


@pytest.mark.parametrize(
    ("spec", "case"),
    [pytest.param(e["policy"], c, id=f"{e['policy']['name']}-{n}") for e in EXAMPLES for n, c in enumerate(e["cases"])],
)
def test_every_example_objects_to_what_it_says(spec: dict[str, Any], case: dict[str, Any]) -> None:
    policy = PolicySpec.model_validate(spec)
    assert list(unsound([policy])) == []
    labels = {c["address"]: c.get("labels", {}) for c in case["changes"]}
    at = datetime.fromisoformat(case["at"]) if "at" in case else NOON
    shown = plan(*map(made, case["changes"]))
    if "environment" in case:
        shown = replace(shown, environment=case["environment"])
    found = evaluate([policy], shown, labels, at)
    assert [d.address or "" for d in found] == case["objects"]
    assert {d.severity for d in found} <= {Severity.ERROR if "deny" in spec else Severity.WARNING}


def test_the_objections_of_each_policy_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    changes = [made({"address": f"Disk/{name}"}) for name in "ab"]
    policies = [policy(deny="true", name="strict"), policy(warn="change.action == 'delete'", name="mild")]
    with caplog.at_level("DEBUG", "dbc_iac.policy"):
        evaluate(policies, plan(*changes), {}, NOON)
    assert caplog.messages == ["policy strict: 2 objections", "policy mild: 0 objections"]


@pytest.mark.parametrize(
    "text", ["change.nothing.more", "change.desired.gpus > 'x'", "1 / 0", "change.__class__.mro()"]
)
def test_what_cannot_be_evaluated_is_refused(text: str) -> None:
    shown = plan(made({"address": "Disk/d", "desired": {"gpus": 1}}))
    for parts in ({"deny": text}, {"warn": text}, {"deny": "true", "message": "{{ " + text + " }}"}):
        [found] = evaluate([policy(**parts)], shown, {}, NOON)
        assert (found.code, found.severity, found.exit_code) == ("policy-unclear", Severity.ERROR, ExitCode.REFUSED)
        assert found.address == "Disk/d"


@pytest.mark.parametrize(
    ("firewall", "port", "protocol", "open_"),
    [
        (["in,tcp,1-65535,0.0.0.0/0,drop"], 3389, "tcp", False),
        (["in,tcp,1-65535,0.0.0.0/0,drop"], 53, "udp", True),
        (["in,dns(udp),all,0.0.0.0/0,accept", "in,all,all,0.0.0.0/0,drop"], 53, "udp", True),
        (["in,rdp,all,0.0.0.0/0,accept", "in,all,all,0.0.0.0/0,drop"], 3389, "tcp", True),
        (["in,icmp,all,0.0.0.0/0,drop"], 22, "tcp", True),
        (["in,tcp,22,0.0.0.0/0,drop", "in,all,all,0.0.0.0/0,accept"], 22, "tcp", False),
        (["in,tcp,22,0.0.0.0/0,drop", "in,tcp,20-30,0.0.0.0/0,accept"], 22, "tcp", False),
    ],
)
def test_a_port_is_open_as_the_node_reads_its_rules(firewall: list[str], port: int, protocol: str, open_: bool) -> None:
    assert open_to_world({"firewall": firewall}, port, protocol) is open_


@pytest.mark.parametrize(
    "text",
    [
        "open_to_world(change.desired, '22')",
        "open_to_world(change.desired, true)",
        "open_to_world({'firewall': 'in'}, 22)",
        "open_to_world({'firewall': ['in']}, 22)",
    ],
)
def test_what_is_no_question_about_a_port_is_refused(text: str) -> None:
    [found] = evaluate([policy(deny=text)], plan(made({"address": "VirtualMachine/a"})), {}, NOON)
    assert (found.code, "open_to_world: " in found.summary) == ("policy-unclear", True)


@pytest.fixture
def emulated(tmp_path: Path) -> Iterator[Callable[[str], Emulated]]:
    kept: list[Emulated] = []

    def build(policies: str) -> Emulated:
        one = Emulated(project(tmp_path, vm()))
        one.project.write({"dbc-iac.yaml": PROJECT + "  policies:\n" + policies})
        kept.append(one)
        return one

    yield build
    for one in kept:
        one.close()


def test_a_denied_plan_is_shown_and_not_applied(emulated: Callable[[str], Emulated], tmp_path: Path) -> None:
    one = emulated(
        "  - {name: small, deny: change.desired.gpus | default(0) > 0, message: 'GPUs: {{ change.desired.gpus }}'}\n"
    )
    page = tmp_path / "plan.html"
    result = one.run("plan", "--html", str(page))
    assert result.code == 5
    assert "Plan: 1 to create" in result.out
    assert "error[policy-denied]: VirtualMachine/trainer: GPUs: 1\n  --> " in result.err
    assert "manifests/all.yaml:" in result.err
    assert "VirtualMachine/trainer: GPUs: 1" in page.read_text()
    assert one.run("apply", "--yes").code == 5
    assert one.vms == {}


def test_a_policy_that_is_none_refuses_a_destroy_too(emulated: Callable[[str], Emulated]) -> None:
    one = emulated("  - {name: a, deny: 'x ==', message: m}\n")
    result = one.run("destroy", "--yes", "--json")
    assert (result.code, result.codes) == (3, ["policy-expression"])


def test_a_problem_of_a_policy_has_its_place(emulated: Callable[[str], Emulated]) -> None:
    lines = PROJECT.count("\n") + 2
    one = emulated("  - {name: a, deny: 'x ==', message: m}\n")
    assert f"dbc-iac.yaml:{lines}:21\n" in one.run("validate").err
    one = emulated("  - {name: b, warn: change.nothing.more, message: m}\n")
    assert f"dbc-iac.yaml:{lines}:21 (VirtualMachine/trainer)" in one.run("plan").err
    one = emulated("  - {name: c, each: plan, deny: 'true', message: m}\n")
    assert f"dbc-iac.yaml:{lines}:33\n" in one.run("plan").err


def test_a_plan_file_is_held_to_the_policies_of_today(emulated: Callable[[str], Emulated], tmp_path: Path) -> None:
    one = emulated("  - {name: fine, warn: 'true', message: look}\n")
    kept = str(tmp_path / "the.plan")
    warned = one.run("plan", "-o", kept, "--json")
    assert (warned.code, warned.codes) == (0, ["policy-warning"])
    one.project.write({"dbc-iac.yaml": PROJECT + "  policies:\n  - {name: none, deny: 'true', message: frozen}\n"})
    refused = one.run("apply", kept, "--yes", "--json")
    assert (refused.code, refused.codes) == (5, ["policy-denied"])
    assert one.vms == {}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("  - {name: a, deny: 'x ==', message: m}\n", "policy-expression"),
        ("  - {name: a, message: m}\n", "invalid-value"),
        ("  - {name: a, deny: 'true', warn: 'true', message: m}\n", "invalid-value"),
        ("  - {name: a, deny: 'true', message: m, timeZone: Moon/Sea}\n", "invalid-value"),
    ],
)
def test_invalid_policies_are_reported_before_any_call(
    emulated: Callable[[str], Emulated], text: str, code: str
) -> None:
    result = emulated(text).run("validate", "--json")
    assert (result.code, result.codes) == (3, [code])
