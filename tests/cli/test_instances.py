"""A rented bare-metal server: power, reset, boot device, DeepLink, and what is left alone while nobody rents it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dbc_iac.emulator import FaultSpec
from dbc_iac.emulator.bare_metal.power import Bmc
from dbc_iac.emulator.world import MachineSpec
from tests.projects import SEED, Emulated, document, project

MANAGER_SEED = "4308b3d08b1d1b247051f7e6fffe3edacf316d0f133ab3d42a07a2089b493e55"
SERVER_KEY = "11" * 32
SERVER_ID = "50780547322a1ceba67ea8c552c9bc6c686f8698ac9a8cafab7cd15a1db19859"
WORLD: dict[str, Any] = {
    "managers": [
        {
            "seed": MANAGER_SEED,
            "servers": [
                {
                    "uuid": "one",
                    "ip": "198.51.100.1",
                    "ipmiHostname": "192.168.0.1",
                    "ipmiUsername": "admin",
                    "ipmiPassword": "admin",
                    "nodePrivateKey": SERVER_KEY,
                }
            ],
        }
    ],
    "bmcs": [{"host": "192.168.0.1"}],
    "deeplinks": [{"ip": "198.51.100.1"}],
}
SPEC: dict[str, Any] = {"nodeId": SERVER_ID, "identity": "tenant", "power": "on"}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Callable[..., Emulated]]:
    made: list[Emulated] = []

    def build(**spec: Any) -> Emulated:
        one = project(tmp_path, document("BareMetalInstance", "box", {**SPEC, **spec}), environ={"LINK": "canarylink"})
        machines = {SERVER_ID: {"renter": "tenant"}}
        made.append(Emulated(one, {**WORLD, "machines": machines}))
        return made[-1]

    yield build
    for emulated in made:
        emulated.close()


def write(emulated: Emulated, **spec: Any) -> None:
    made = document("BareMetalInstance", "box", {**SPEC, **spec})
    project(emulated.project.directory, made, environ=emulated.project.environ)


def converges(emulated: Emulated) -> str:
    result = emulated.run("apply", "--yes")
    assert result.code == 0, result.out + result.err
    last = emulated.run("plan", "--detailed-exitcode")
    assert last.code == 0, last.out + last.err
    return result.out + result.err


def bmc(emulated: Emulated) -> Bmc:
    return emulated.network.bmcs.all[0]


def test_power_is_set_and_repaired(world: Callable[..., Emulated]) -> None:
    emulated = world()
    converges(emulated)
    assert bmc(emulated).power == "on"
    bmc(emulated).power = "off"
    assert "power: off -> on" in emulated.run("plan").out
    converges(emulated)
    assert bmc(emulated).power == "on"
    write(emulated, power="off")
    assert "1 server will be powered off." in emulated.run("plan").out
    converges(emulated)
    assert bmc(emulated).power == "off"


def test_power_that_is_not_managed_is_left_alone(world: Callable[..., Emulated]) -> None:
    emulated = world(power="unmanaged")
    converges(emulated)
    bmc(emulated).power = "on"
    assert emulated.run("plan", "--detailed-exitcode").code == 0


def test_a_reset_goes_off_and_on_and_is_never_pressed(world: Callable[..., Emulated]) -> None:
    emulated = world(resetOn="1")
    converges(emulated)
    write(emulated, resetOn="2")
    said = converges(emulated)
    assert said.index("powered off after") < said.rindex("powered on after")
    assert bmc(emulated).power == "on"


def test_the_next_boot_is_set_once_and_again_when_its_trigger_changes(world: Callable[..., Emulated]) -> None:
    emulated = world(nextBoot={"device": "pxe", "trigger": "1"})
    converges(emulated)
    assert bmc(emulated).next_boot == "pxe"
    bmc(emulated).next_boot = ""
    assert emulated.run("plan", "--detailed-exitcode").code == 0
    write(emulated, nextBoot={"device": "pxe", "trigger": "2"})
    converges(emulated)
    assert bmc(emulated).next_boot == "pxe"


def test_the_deeplink_password_is_set_and_never_shown(world: Callable[..., Emulated], tmp_path: Path) -> None:
    emulated = world(deeplink={"password": {"env": "LINK"}})
    said = converges(emulated)
    device = emulated.network.deeplinks.devices["198.51.100.1"]
    assert device.password == "canarylink"
    device.password = "changed-by-the-program"
    said += converges(emulated)
    assert device.password == "canarylink"
    emulated.network.deeplinks.disconnect("198.51.100.1")
    assert emulated.run("plan", "--detailed-exitcode").code == 0
    written = [p.read_text() for p in tmp_path.rglob("*") if p.is_file()]
    assert not any("canarylink" in text or "changed-by-the-program" in text for text in (said, *written))


def test_what_nobody_rents_is_neither_compared_nor_changed(world: Callable[..., Emulated]) -> None:
    emulated = world(nextBoot={"device": "pxe", "trigger": "1"})
    emulated.network.chain.set({}, {SERVER_ID: MachineSpec(status="online")}, {})
    result = emulated.run("apply", "--yes")
    assert result.code == 0, result.out + result.err
    assert (bmc(emulated).power, bmc(emulated).next_boot) == ("off", "")
    assert "not rented" in emulated.run("plan").out


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"failure": "Set Chassis Power Control to Up/On failed: busy"}, "cannot be read"),
        ({"reachable": False}, "Unable to establish LAN session"),
    ],
)
def test_a_failing_bmc_is_reported(world: Callable[..., Emulated], change: dict[str, Any], text: str) -> None:
    emulated = world()
    converges(emulated)
    for key, value in change.items():
        setattr(bmc(emulated), key, value)
    result = emulated.run("plan")
    assert result.code == 1
    assert text in result.out + result.err


@pytest.mark.parametrize("kind", ["time-out", "lost-reply", "drop", "late"])
def test_faults_of_power_are_survived(world: Callable[..., Emulated], kind: str) -> None:
    emulated = world()
    emulated.network.faults.add(
        FaultSpec.model_validate({"op": "bare_metal.power", "kind": kind, "seconds": 45, "nth": 2})
    )
    if emulated.run("apply", "--yes").code != 0:
        emulated.settle(60)
    converges(emulated)
    assert bmc(emulated).power == "on"


def test_its_document_goes_without_a_call(world: Callable[..., Emulated]) -> None:
    emulated = world()
    converges(emulated)
    result = emulated.run("destroy", "--yes")
    assert result.code == 0
    assert "the server is not changed: a rental ends on the chain" in result.out
    assert bmc(emulated).power == "on"


@pytest.mark.parametrize(
    ("spec", "code"),
    [
        ({"nodeId": None}, "missing-field"),
        ({"server": "none"}, "unknown-reference"),
        ({"resetOn": "1", "power": "off"}, "ignored-by-node"),
        ({"clients": ["none"]}, "unknown-client"),
        ({"identity": "none"}, "unknown-identity"),
    ],
)
def test_invalid_values_are_reported(tmp_path: Path, spec: dict[str, Any], code: str) -> None:
    wanted = {k: v for k, v in {**SPEC, **spec}.items() if v is not None}
    made = project(tmp_path, document("BareMetalInstance", "box", wanted), environ={"SEED": SEED})
    result = made.run("validate", "--json")
    assert result.code == 3
    assert code in result.codes


def test_a_server_that_this_project_owns_is_seen_once_it_is_registered(tmp_path: Path) -> None:
    server = {
        "manager": "rack",
        "uuid": "two",
        "ip": "198.51.100.2",
        "ipmi": {"host": "192.168.0.1", "username": "admin", "password": {"env": "IPMI"}},
    }
    documents = (
        document(
            "BareMetalManager",
            "rack",
            {"id": "ce8658d8ec4502b708e2b5157271a4793b14b9b64eea369b429c8d2321116833", "identity": "owner"},
        ),
        document("BareMetalServer", "two", server),
        document("BareMetalInstance", "box", {"server": "two", "identity": "tenant", "power": "on"}),
    )
    made = project(tmp_path, *documents, environ={"KEY": MANAGER_SEED, "IPMI": "admin"})
    file = tmp_path / "dbc-iac.yaml"
    file.write_text(file.read_text().replace("identities:", "identities:\n    owner: {nodeKey: {env: KEY}}"))
    emulated = Emulated(made, WORLD)
    first = emulated.run("apply", "--yes")
    assert "its BareMetalServer is not registered yet" in first.out
    [manager] = emulated.network.managers.values()
    new = next(s.node_id for s in manager.servers.by_id.values() if s.uuid == "two")
    emulated.network.chain.set({}, {new: MachineSpec(renter="tenant")}, emulated.network.wallets)
    emulated.settle(60)
    converges(emulated)
    assert bmc(emulated).power == "on"
    state = tmp_path / "state/main.json"
    kept = json.loads(state.read_text())
    for lost in (["BareMetalServer/two"], ["BareMetalServer/two", "BareMetalInstance/box"]):
        state.write_text(json.dumps({**kept, "bindings": {a: b for a, b in kept["bindings"].items() if a not in lost}}))
        plan = emulated.run("plan", "--json")
        assert plan.code == 0, plan.err
        changes = {c["address"]: c["action"] for c in plan.json["changes"] if c["action"] != "no-op"}
        assert changes == dict.fromkeys(lost, "adopt")
    emulated.close()
