"""Order of problems: what explains the others comes first, and one object is reported once."""

from __future__ import annotations

from collections.abc import Callable

from tests.cli.runs import applied, write
from tests.projects import Emulated, document, vm

PORTS = {"ssh": 20100, "vnc": 20101}
LAN = document("Network", "training", {"via": "gpu-a", "cidr": "192.168.66.0/24"})


def test_a_refusal_comes_after_the_warning_of_another_environment(world: Callable[..., Emulated]) -> None:
    emulated = world(vm(ports=PORTS, dataDisk={"size": "40Gi"}))
    applied(emulated)
    write(emulated, vm(ports=PORTS, dataDisk={"size": "20Gi"}))
    emulated.project.write({"prod.yaml": "count: 1\n"})
    assert emulated.run("plan", "--json").codes == ["cannot-shrink"]
    result = emulated.run("-e", "prod", "plan", "--json")
    assert (result.code, result.codes) == (5, ["other-environment", "cannot-shrink"])


def test_a_warning_of_another_environment_comes_before_those_of_the_plan(world: Callable[..., Emulated]) -> None:
    emulated = world(vm(ports=PORTS))
    applied(emulated)
    write(emulated, LAN, vm(ports=PORTS))
    emulated.project.write({"prod.yaml": "count: 1\n"})
    other = emulated.run("--stack", "other", "apply", "--yes", "--target", "Network/training")
    assert other.code == 0, other.err
    assert emulated.run("--stack", "other", "state", "rm", "--yes", "Network/training").code == 0
    result = emulated.run("-e", "prod", "plan", "--json")
    assert [d["code"] for d in result.json["diagnostics"]] == ["other-environment", "adopted"]


def test_an_object_of_another_stack_is_not_reported_as_nobodys(world: Callable[..., Emulated]) -> None:
    emulated = world(LAN)
    applied(emulated)
    result = emulated.run("--stack", "other", "plan", "--json")
    assert (result.code, [d["code"] for d in result.json["diagnostics"]]) == (5, ["new-stack", "of-another-stack"])
