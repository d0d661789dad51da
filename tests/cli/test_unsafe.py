"""Values that a node would misread: refused with their source range, and never sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dbc_iac.api import requests
from dbc_iac.api.wire_types import UnsafeWireValue
from tests.cli.test_fields import SERVER, applied, bare_metal
from tests.cli.test_instances import SERVER_ID, WORLD
from tests.projects import Emulated, document, project, vm

LOGIN: dict[str, Any] = {"login": {"username": "dbc", "password": {"env": "PW"}}}
PASSWORDS = ['can"ary', "can\\ary", "canary-\u00e9", "canary" * 22, "can\nary"]
BMC_PASSWORDS = ["canary;b", "canary b", "-canary", "***", "canary-canary-17c", "canary\u00e9"]


@pytest.mark.parametrize("value", PASSWORDS)
@pytest.mark.parametrize("command", ["plan", "apply"])
def test_a_login_password_that_cannot_be_sent(tmp_path: Path, command: str, value: str) -> None:
    emulated = Emulated(project(tmp_path, vm(**LOGIN), environ={"PW": value}))
    result = emulated.run(command, "--json", *(["--yes"] if command == "apply" else []))
    assert (result.code, result.codes) == (3, ["unsafe-secret"]), result.err
    assert_told(result.err, "login.password", "1-128 printable ASCII")
    assert emulated.vms == {}
    assert "canary" not in result.err + result.out
    emulated.close()


@pytest.mark.parametrize("value", BMC_PASSWORDS)
def test_a_bmc_password_that_cannot_be_sent(tmp_path: Path, value: str) -> None:
    emulated = bare_metal(tmp_path, SERVER)
    emulated.project.environ["IPMI"] = value
    result = emulated.run("plan", "--json")
    assert (result.code, result.codes) == (3, ["unsafe-secret"]), result.err
    assert_told(result.err, "ipmi.password", "1-16 letters")
    assert "canary" not in result.err + result.out
    emulated.close()


@pytest.mark.parametrize("value", ['can"ary', "canary" * 70])
def test_a_deeplink_password_that_cannot_be_sent(tmp_path: Path, value: str) -> None:
    box = {"nodeId": SERVER_ID, "identity": "tenant", "deeplink": {"password": {"env": "LINK"}}}
    made = project(tmp_path, document("BareMetalInstance", "box", box), environ={"LINK": value})
    emulated = Emulated(made, {**WORLD, "machines": {SERVER_ID: {"renter": "tenant"}}})
    result = emulated.run("plan", "--json")
    assert (result.code, result.codes) == (3, ["unsafe-secret"]), result.err
    assert "canary" not in result.err + result.out
    emulated.close()


def assert_told(err: str, path: str, expected: str) -> None:
    import json

    [told] = json.loads(err)["diagnostics"]
    assert told["summary"].startswith(f"{path}: the value of environment variable ")
    assert expected in told["detail"]
    assert told["remedy"].startswith("Choose another")
    assert told["source"]["file"].endswith("manifests/all.yaml")


def test_a_plan_file_is_not_applied_with_a_secret_that_cannot_be_sent(tmp_path: Path) -> None:
    emulated = Emulated(project(tmp_path, vm(**LOGIN), environ={"PW": "canary"}))
    assert emulated.run("plan", "-o", str(tmp_path / "plan.json")).code == 0
    emulated.project.environ["PW"] = 'a"b'
    result = emulated.run("apply", "--yes", "--json", str(tmp_path / "plan.json"))
    assert (result.code, result.codes) == (3, ["unsafe-secret"]), result.err
    assert emulated.vms == {}
    emulated.close()


def test_a_value_that_nobody_foresaw_ends_one_goal_and_leaves_nothing_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulated = Emulated(project(tmp_path, vm()))
    applied(emulated)
    project(tmp_path, vm(firewall=["in,tcp,22,0.0.0.0/0,accept"]), environ=emulated.project.environ)

    def body(**fields: Any) -> Any:
        raise UnsafeWireValue("new_network_filters: not of the form the node takes")

    with monkeypatch.context() as patched:
        patched.setattr(requests, "ModifyVm", body)
        result = emulated.run("apply", "--yes")
    assert result.code == 3, result.out + result.err
    assert "Cause: new_network_filters: not of the form" in result.out + result.err
    assert "bug" not in result.out + result.err
    plan = emulated.run("plan", "--json").json
    assert plan["recovery"] == []
    applied(emulated)
    emulated.close()


def disks(count: int, name: str = "d") -> list[str]:
    return [document("Disk", f"{name}{n:02}", {"vm": "trainer", "size": "1Gi"}) for n in range(count)]


def test_a_disk_for_which_there_is_no_letter_though_one_went(tmp_path: Path) -> None:
    """Names end at vdz, and gaps are not filled: an add beyond is accepted, and never carried out."""
    emulated = Emulated(project(tmp_path, vm(), *disks(24)))
    applied(emulated)
    project(tmp_path, vm(), *disks(24)[1:], environ=emulated.project.environ)
    applied(emulated, "--allow-data-loss")
    project(tmp_path, vm(), *disks(24)[1:], *disks(1, "e"), environ=emulated.project.environ)
    result = emulated.run("plan", "--json")
    assert (result.code, result.codes) == (5, ["node-would-refuse"]), result.err
    assert "VirtualMachine/trainer has 0 free slots for Disk, 1 needed" in result.err
    emulated.close()
