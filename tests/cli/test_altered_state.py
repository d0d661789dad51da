"""States and plan files that somebody altered: neither commands for other programs nor signatures for other machines."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.cli.test_manager_port import SERVER, Manager, rack, run, written
from tests.projects import Emulated, document, vm

VM = "VirtualMachine/trainer"


def altered(file: Path, change: Callable[[dict[str, Any]], None]) -> None:
    state = json.loads(file.read_text())
    change(state)
    file.write_text(json.dumps(state))


@pytest.mark.parametrize(
    "address",
    [
        "VirtualMachine/x\n  ProxyCommand touch ran\nHost y", "VirtualMachine/x\n", "VirtualMachine/* !a",
        "VirtualMachine/x\x1b[2J", "VirtualMachine/../x", "Disk/trainer", "trainer", "VirtualMachine/x~y",
    ],
)  # fmt: skip
@pytest.mark.parametrize("command", [("output", "--ssh-config"), ("state", "list"), ("plan",)])
@pytest.mark.hostile_summaries
def test_a_state_with_an_impossible_address_is_refused(
    world: Callable[..., Emulated], address: str, command: tuple[str, ...]
) -> None:
    """`output --ssh-config` is read by ssh: a line of the address could run a program."""
    emulated = world(vm())
    assert emulated.run("apply", "--yes").code == 0

    def move(state: dict[str, Any]) -> None:
        state["bindings"][address] = {**state["bindings"].pop(VM), "address": address}

    altered(emulated.project.directory / "state/main.json", move)
    result = emulated.run(*command)
    assert (result.code, result.out) == (1, "")
    assert "error[state-corrupt]" in result.err
    assert "no usable address" in result.err


def test_a_state_with_a_binding_under_another_address_is_refused(world: Callable[..., Emulated]) -> None:
    emulated = world(vm())
    assert emulated.run("apply", "--yes").code == 0
    file = emulated.project.directory / "state/main.json"
    altered(file, lambda state: state["bindings"][VM].update(address="VirtualMachine/other"))
    assert emulated.run("plan", "--json").codes == ["state-corrupt"]


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "https://203.0.113.7", "ftp://127.0.0.1", "nowhere"])
def test_a_wallet_signs_nothing_for_a_url_of_the_state(world: Callable[..., Emulated], url: str) -> None:
    emulated = world(vm())
    assert emulated.run("apply", "--yes").code == 0
    file = emulated.project.directory / "state/main.json"
    altered(file, lambda state: state["bindings"][VM]["route"].update(url=url, target="ab" * 32))
    asked: list[str] = []

    def transport(name: str) -> httpx.AsyncBaseTransport:
        def answer(request: httpx.Request) -> httpx.Response:
            asked.append(str(request.url))
            return httpx.Response(200, json={"errcode": 0, "message": {}})

        return httpx.MockTransport(answer)

    for command in (("plan",), ("vm", "show", "trainer"), ("output",)):
        result = emulated.project.run(*command, "--json", transport=transport)
        assert (result.code, result.codes[-1:]) == (5, ["untrusted-route"]), result.err
    assert asked == []


@pytest.mark.parametrize(("url", "asks"), [("http://203.0.113.7:5051", False), ("https://127.0.0.1:5051", True)])
def test_a_node_key_signs_over_plain_http_only_where_a_manifest_allows_it(tmp_path: Path, url: str, asks: bool) -> None:
    manager = Manager()
    server = {**SERVER, "lifecycle": {"preventDestroy": False}}
    made = written(
        tmp_path, rack(url="http://203.0.113.7:5051", insecureHttp=True), document("BareMetalServer", "one", server)
    )
    assert run(made, manager, "apply", "--yes").code == 0
    written(tmp_path)  # no manifest has the URL any more
    altered(tmp_path / "state/main.json", lambda s: s["bindings"]["BareMetalServer/one"]["route"].update(url=url))
    manager.asked.clear()
    run(made, manager, "plan", "--allow-empty")
    assert bool(manager.asked) is asks


def test_a_plan_file_with_an_impossible_address_is_refused(world: Callable[..., Emulated], tmp_path: Path) -> None:
    emulated = world(vm())
    file = tmp_path / "the.plan"
    assert emulated.run("plan", "-o", str(file)).code == 0
    altered(file, lambda plan: plan["changes"][-1].update(address="VirtualMachine/x\n  y"))
    for command in (("show", str(file)), ("apply", str(file))):
        result = emulated.run(*command)
        assert (result.code, "is not an address of its kind" in result.err) == (3, True), result.err


@pytest.mark.parametrize("command", [
    "output", "plan", "apply --yes", "drift", "orphans", "vm show trainer", "vm start trainer --yes", "destroy --yes",
])  # fmt: skip
@pytest.mark.parametrize("bad", ['a"b', "a/b", "..", "x" * 99, "", "a\n"])
def test_an_id_that_no_call_can_have_is_refused_before_anything_is_sent(
    world: Callable[..., Emulated], bad: str, command: str
) -> None:
    """Its object would seem deleted: `destroy` would succeed and leave a VM that nobody manages."""
    emulated = world(vm())
    assert emulated.run("apply", "--yes").code == 0
    file = emulated.project.directory / "state/main.json"
    altered(file, lambda state: state["bindings"][VM].update(id=bad))
    before = file.read_text(), emulated.vms
    result = emulated.run(*command.split(), "--json")
    assert (result.code, result.codes) == (1, ["state-corrupt"]), result.err
    assert f"the state has no usable id for {VM}" in result.err
    assert (file.read_text(), emulated.vms) == before
