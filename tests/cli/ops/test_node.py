"""Operations commands on nodes and client nodes, through the command line against the emulated network."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dbc_iac.api.channel import Channel
from dbc_iac.api.endpoints import images
from dbc_iac.api.outcome import Unknown
from dbc_iac.emulator import FaultSpec
from tests.projects import NODE_ID, Emulated

OTHER = "441f631da912b2186a3ef0452430f139cf01641bf4e2dce07e06103d8d70e533"


@pytest.fixture
def emulated(world: Callable[..., Emulated]) -> Emulated:
    return world(gpuNodes=[{"id": NODE_ID, "gpus": 4}, {"id": OTHER}])


def test_nodes_are_listed_with_what_they_have_and_what_is_free(emulated: Emulated) -> None:
    [row] = emulated.run("node", "list", "--json").json
    assert (row["name"], row["id"], row["gpuFree"], row["gpuCount"]) == ("gpu-a", NODE_ID, 4, 4)
    assert "4/4" in emulated.run("node", "list").out
    every = emulated.run("node", "list", "--all", "--json").json
    assert [(r["name"], r["id"]) for r in every] == [("gpu-a", NODE_ID), ("", OTHER)]


def test_listing_nodes_needs_no_key(emulated: Emulated) -> None:
    emulated.project.environ.pop("SEED")
    assert emulated.run("node", "list").code == 0


def test_a_silent_node_is_reported(emulated: Emulated) -> None:
    emulated.network.faults.add(FaultSpec.model_validate({"op": "mining_nodes", "kind": "time-out"}))
    result = emulated.run("node", "list", "--json")
    assert (result.code, result.codes) == (1, ["unreadable"])
    assert result.json[0]["name"] == "gpu-a"


def test_one_node_is_shown_with_images_and_orders(emulated: Emulated) -> None:
    shown = emulated.run("node", "show", "gpu-a", "--json").json
    assert [i["name"] for i in shown["images"]] == ["ubuntu.qcow2", "win10.qcow2"]
    assert [(o["id"], o["rentStatus"]) for o in shown["orders"]] == [("112", "renting")]
    assert "renting" in emulated.run("node", "show").out


def test_a_node_that_no_document_names_is_shown_by_its_id(emulated: Emulated) -> None:
    result = emulated.run("node", "show", OTHER, "--json")
    assert (result.code, result.json["id"]) == (0, OTHER)


def test_unreadable_orders_fail_the_view_of_a_node(emulated: Emulated) -> None:
    emulated.network.faults.add(FaultSpec(op="rent_orders", kind="time-out", times=10))
    result = emulated.run("node", "show", "gpu-a", "--json")
    assert (result.code, result.codes, result.json["orders"]) == (1, ["unreadable"], None)


def test_a_monitor_server_of_another_form_names_the_form(emulated: Emulated) -> None:
    assert "servers: expected HOST:PORT" in emulated.run("node", "monitor", "gpu-a", "bad", "--yes").err


def test_what_a_client_node_does_not_list_is_reported(emulated: Emulated, monkeypatch: pytest.MonkeyPatch) -> None:
    async def silent(channel: Channel) -> Unknown:
        return Unknown("no answer")

    monkeypatch.setattr(images, "list_image_servers", silent)
    result = emulated.run("node", "clients", "--json")
    assert (result.code, result.codes) == (1, ["unreadable"])
    [row] = result.json
    assert (row["gpuNodes"], row["imageServers"], row["unreadable"]) == (2, None, "no answer")


@pytest.mark.parametrize(
    ("arguments", "exit_code", "problem"),
    [
        (["show", "gpu-b"], 3, "unknown-name"),
        (["show", "ab" * 32], 1, "unreadable"),
        (["free-memory", "gpu-a"], 3, "needs-yes"),
        (["free-memory", OTHER, "--yes"], 4, "refused"),
        (["monitor", "gpu-a", "x"], 3, "unsafe-value"),
        (["monitor", "gpu-a", "1.2.3.4:1"], 3, "needs-yes"),
    ],
)
def test_an_impossible_request_is_reported(
    emulated: Emulated, arguments: list[str], exit_code: int, problem: str
) -> None:
    result = emulated.run("node", *arguments, "--json")
    assert (result.code, result.codes) == (exit_code, [problem]), result.err


def test_client_nodes_list_known_nodes(emulated: Emulated) -> None:
    [row] = emulated.run("node", "clients", "--json").json
    assert (row["name"], row["version"], row["gpuNodes"], row["servers"]) == ("default", "0.4.1.8", 2, 0)
    assert "0.4.1.8" in emulated.run("node", "clients").out


def test_monitor_servers_are_set_shown_and_cleared(emulated: Emulated) -> None:
    assert emulated.run("node", "monitor", "gpu-a", "1.2.3.4:10051", "--yes").out == "1.2.3.4:10051\n"
    assert emulated.run("node", "monitor", "gpu-a", "--json").json == {"servers": ["1.2.3.4:10051"]}
    assert emulated.run("node", "monitor", "gpu-a", "--clear", "--yes", "--json").json == {"servers": []}


def test_the_page_cache_is_dropped(emulated: Emulated) -> None:
    assert emulated.run("node", "free-memory", "--yes", "--json").json["outcome"] == "done"


@pytest.mark.parametrize(
    ("operation", "command", "look"),
    [
        ("mining_nodes.free_memory", ("free-memory", "gpu-a"), "dbc-iac node show Node/gpu-a"),
        ("monitor.set", ("monitor", "gpu-a", "1.2.3.4:10051"), "dbc-iac node monitor Node/gpu-a"),
    ],
)
def test_an_unknown_outcome_names_the_whole_command_to_check_with(
    emulated: Emulated, operation: str, command: tuple[str, ...], look: str
) -> None:
    emulated.network.faults.add(FaultSpec.model_validate({"op": operation, "kind": "lost-reply"}))
    result = emulated.run("node", *command, "--yes", "--json")
    assert (result.code, result.codes) == (7, ["outcome-unknown"])
    assert f"Check with `{look}` before" in result.err
