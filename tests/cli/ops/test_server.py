"""Operations commands on bare-metal servers and DeepLink, through the command line against the emulated network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dbc_iac.emulator import FaultSpec
from dbc_iac.emulator.bare_metal.power import Bmc
from tests.cli.test_instances import MANAGER_SEED, SERVER_ID, SERVER_KEY, WORLD
from tests.projects import Emulated, document, project

MANAGER_ID = "ce8658d8ec4502b708e2b5157271a4793b14b9b64eea369b429c8d2321116833"
MANAGER = document("BareMetalManager", "rack", {"id": MANAGER_ID, "identity": "owner"})
SERVER = document(
    "BareMetalServer",
    "one",
    {
        "manager": "rack",
        "uuid": "one",
        "ip": "198.51.100.1",
        "ipmi": {"host": "192.168.0.1", "username": "admin", "password": {"env": "IPMI"}},
    },
)
INSTANCE = {"nodeId": SERVER_ID, "identity": "tenant", "power": "on"}
RENTER = ["--identity", "tenant"]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Callable[..., Emulated]]:
    """A project of an owner and a renter, on one world."""
    made: list[Emulated] = []

    def build(*documents: str) -> Emulated:
        one = project(tmp_path, MANAGER, *documents, environ={"KEY": MANAGER_SEED, "IPMI": "canary", "LINK": "canary"})
        file = tmp_path / "dbc-iac.yaml"
        file.write_text(file.read_text().replace("identities:", "identities:\n    owner: {nodeKey: {env: KEY}}"))
        made.append(Emulated(one, {**WORLD, "machines": {SERVER_ID: {"renter": "tenant"}}}))
        return made[-1]

    yield build
    for emulated in made:
        emulated.close()


def instance(**spec: Any) -> str:
    return document("BareMetalInstance", "box", {**INSTANCE, **spec})


def bmc(emulated: Emulated) -> Bmc:
    return emulated.network.bmcs.all[0]


def test_the_owner_lists_and_shows_servers_without_their_keys(world: Callable[..., Emulated]) -> None:
    emulated = world(SERVER)
    for arguments in (["list"], ["list", "rack"]):
        [row] = emulated.run("server", *arguments, "--json").json
        assert (row["uuid"], row["nodeId"], row["manager"]) == ("one", SERVER_ID, "BareMetalManager/rack")
    texts = [emulated.run("server", "list").out]
    for arguments in (["one"], ["BareMetalServer/one"], ["one", "--manager", "rack"], [SERVER_ID, "--manager", "rack"]):
        shown = emulated.run("server", "show", *arguments, "--json")
        assert shown.json["nodeId"] == SERVER_ID
        texts += [shown.out, emulated.run("server", "show", *arguments).out]
    assert not any(SERVER_KEY in text or '"admin"\n' in text for text in texts)
    assert "***" in texts[1]


def test_without_a_manager_the_servers_are_those_that_were_heard_of(tmp_path: Path) -> None:
    emulated = Emulated(project(tmp_path), WORLD)
    [row] = emulated.run("server", "list", "--json").json
    assert row["nodeId"] == SERVER_ID
    emulated.close()


def test_a_refused_key_is_reported(world: Callable[..., Emulated]) -> None:
    emulated = world()
    emulated.project.environ["KEY"] = "22" * 32
    result = emulated.run("server", "list", "--json")
    assert (result.code, result.codes) == (4, ["owner-key-rejected"])


def test_the_renter_sees_a_rented_server(world: Callable[..., Emulated]) -> None:
    shown = world(instance()).run("server", "show", "box", "--json").json
    assert (shown["nodeId"], shown["ip"], shown["resource"]) == (SERVER_ID, "198.51.100.1", "BareMetalInstance/box")


@pytest.mark.parametrize("name", ["box", "BareMetalInstance/box", SERVER_ID, "one", "BareMetalServer/one"])
def test_power_is_asked_for_and_set(world: Callable[..., Emulated], name: str) -> None:
    emulated = world(instance(power="unmanaged"), SERVER)
    assert emulated.run("apply", "--yes").code == 0
    assert emulated.run("server", "power", name, "status", "--json").json["status"] == "off"
    result = emulated.run("server", "power", name, "on", "--yes", "--wait", "--json")
    assert (result.code, result.json["status"], result.err) == (0, "on", "")
    assert bmc(emulated).power == "on"
    again = emulated.run("server", "power", name, "on", "--json")
    assert again.json["status"] == "already on"
    assert emulated.run("server", "power", name, "reset", "--yes").code == 0
    assert emulated.run("server", "power", name, "off", "--yes").code == 0
    assert bmc(emulated).power == "off"


def test_a_server_that_no_resource_rents_needs_an_identity(world: Callable[..., Emulated]) -> None:
    emulated = world()
    assert emulated.run("server", "power", SERVER_ID, "status", "--json").codes == ["identity"]
    assert emulated.run("server", "power", SERVER_ID, "status", *RENTER).code == 0


def test_a_conflict_with_the_manifest_gives_a_warning(world: Callable[..., Emulated]) -> None:
    link = {"password": {"env": "LINK"}}
    emulated = world(instance(nextBoot={"device": "pxe", "trigger": "1"}, deeplink=link))
    assert emulated.run("apply", "--yes").code == 0
    assert emulated.run("server", "power", "box", "off", "--yes", "--json").codes == ["drift"]
    assert emulated.run("server", "bootdev", "box", "disk", "--yes", "--json").codes == ["drift"]
    assert emulated.run("deeplink", "set", "box", "--password-env", "LINK", "--yes", "--json").codes == ["drift"]
    assert bmc(emulated).next_boot == "disk"


def test_the_boot_device_is_set_though_the_node_says_it_failed(world: Callable[..., Emulated]) -> None:
    emulated = world(instance())
    result = emulated.run("server", "bootdev", "box", "pxe", "--yes", "--json")
    assert (result.code, result.json["outcome"], bmc(emulated).next_boot) == (0, "accepted", "pxe")


def test_deeplink_is_shown_and_set_and_its_password_only_when_asked_for(world: Callable[..., Emulated]) -> None:
    emulated = world(instance())
    device = emulated.network.deeplinks.devices["198.51.100.1"]
    hidden = emulated.run("deeplink", "get", "box")
    assert device.id in hidden.out
    assert device.password not in hidden.out + emulated.run("deeplink", "get", "box", "--json").out
    shown = emulated.run("deeplink", "get", "box", "--reveal", "--json").json
    assert shown["devicePassword"] == device.password
    result = emulated.run("deeplink", "set", "box", "--password-env", "LINK", "--yes", "--wait", "--json")
    assert (result.code, result.json["status"]) == (0, "password set")
    assert device.password == "canary"
    assert "canary" not in result.out + result.err


@pytest.mark.parametrize(
    ("arguments", "exit_code", "problem"),
    [
        (["server", "list", "none"], 3, "unknown-name"),
        (["server", "show", "none"], 3, "unknown-name"),
        (["server", "show", "none", "--manager", "rack"], 1, "not-found"),
        (["server", "power", "box", "on"], 3, "needs-yes"),
        (["server", "power", "box", "reset", "--yes"], 1, "server-off"),
        (["server", "bootdev", "box", "floppy"], 3, "usage"),
        (["server", "bootdev", "box", "pxe"], 3, "needs-yes"),
        (["server", "power", "two", "status"], 1, "not-applied"),
        (["deeplink", "set", "box", "--yes"], 3, "secret-missing"),
        (["deeplink", "set", "box", "--password-env", "LINK"], 3, "needs-yes"),
    ],
)
def test_an_impossible_request_is_reported(
    world: Callable[..., Emulated], arguments: list[str], exit_code: int, problem: str
) -> None:
    emulated = world(
        instance(power="unmanaged"),
        document("BareMetalInstance", "two", {**INSTANCE, "nodeId": None} | {"server": "one"}),
        SERVER,
    )
    result = emulated.run(*arguments, "--json")
    assert (result.code, result.codes) == (exit_code, [problem]), result.err
    assert (bmc(emulated).power, bmc(emulated).next_boot) == ("off", "")


def test_a_refused_reset_names_the_command_that_powers_the_server_on(world: Callable[..., Emulated]) -> None:
    result = world(instance(power="unmanaged"), SERVER).run("server", "power", "box", "reset", "--yes")
    assert "help: Use `dbc-iac server power BareMetalInstance/box on`." in result.err


@pytest.mark.parametrize("kind", ["time-out", "lost-reply", "drop", "late"])
@pytest.mark.parametrize(
    ("arguments", "op", "nth"),
    [
        (["server", "power", "box", "on"], "bare_metal.power", 2),
        (["server", "bootdev", "box", "pxe"], "bare_metal.bootdev", 1),
        (["deeplink", "set", "box", "--password-env", "LINK"], "deeplink.set", 1),
    ],
)
def test_an_answer_that_does_not_come_is_unknown(
    world: Callable[..., Emulated], arguments: list[str], op: str, nth: int, kind: str
) -> None:
    emulated = world(instance())
    emulated.network.faults.add(FaultSpec.model_validate({"op": op, "kind": kind, "seconds": 45, "nth": nth}))
    result = emulated.run(*arguments, "--yes", "--json")
    assert (result.code, result.codes) == (7, ["outcome-unknown"]), result.err


def test_a_bmc_that_only_says_that_it_did_is_not_believed(world: Callable[..., Emulated]) -> None:
    emulated = world(instance())
    emulated.run("server", "power", "box", "status")
    bmc(emulated).failure = "Set Chassis Power Control to Up/On failed: busy"
    result = emulated.run("server", "power", "box", "on", "--yes", "--json")
    assert (result.code, result.codes) == (1, ["unreadable"])


def test_a_missing_argument_is_reported_in_one_line(tmp_path: Path) -> None:
    result = project(tmp_path).run("server", "power", "box")
    assert result.code == 3
    assert "\\u000a" not in result.err and "status, on, off, reset" in result.err.replace(",  ", ", ")
