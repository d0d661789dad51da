"""`auto` ports: from the Node's range, kept as long as they can be, and told at once where there is no range."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_fields import applied, assert_empty, the_change, write
from tests.projects import NODE_ID, Emulated, document, project, vm

NODE: dict[str, Any] = {"id": NODE_ID, "identity": "tenant", "rentOrder": "112"}


@pytest.fixture
def emulated(tmp_path: Path) -> Iterator[Emulated]:
    made = Emulated(project(tmp_path, vm(publicIp="198.51.100.9", ports={"vnc": "auto"})))
    yield made
    made.close()


@pytest.mark.parametrize("range_", [None, "2000-3000", "5895-5899"])
def test_a_screen_without_a_port_is_told_by_validate(tmp_path: Path, range_: str | None) -> None:
    made = project(tmp_path)
    spec = {**NODE, **({"portRange": range_} if range_ else {})}
    made.write(
        {"manifests/all.yaml": "---\n".join([document("Node", "gpu-a", spec), vm(ports={"ssh": 22, "vnc": "auto"})])}
    )
    result = made.run("validate", "--json")
    assert (result.code, result.codes) == (3, ["no-free-port"])
    assert "for a screen from 5900 on" in result.err


def test_the_port_of_a_public_address_does_not_become_one_of_the_host(emulated: Emulated) -> None:
    applied(emulated)
    [had] = emulated.network.nodes[NODE_ID].truth()["vms"].values()
    assert str(had["ssh_port"]) == "22"
    write(emulated, vm(ports={"ssh": "auto", "vnc": "auto"}))
    fields = {f["path"]: f for f in the_change(emulated)["fields"]}
    assert fields["ports.ssh"]["before"] == 22
    assert 20000 <= fields["ports.ssh"]["after"] <= 29999
    applied(emulated)
    assert_empty(emulated)


def test_a_port_that_auto_chose_stays_when_the_range_moves(emulated: Emulated, tmp_path: Path) -> None:
    write(emulated, vm())
    applied(emulated)
    other = document("Node", "gpu-a", {**NODE, "portRange": "30000-39999"})
    (tmp_path / "manifests/all.yaml").write_text(other + "---\n" + vm())
    assert_empty(emulated)


def test_auto_in_place_of_a_port_below_all_ranges_is_one_of_the_range(emulated: Emulated) -> None:
    write(emulated, vm(ports={"ssh": 222, "vnc": 20002}))
    applied(emulated)
    write(emulated, vm(ports={"ssh": "auto", "vnc": "auto"}))
    assert [(f["path"], f["after"]) for f in the_change(emulated)["fields"]] == [("ports.ssh", 20000)]
    applied(emulated)
    assert_empty(emulated)
