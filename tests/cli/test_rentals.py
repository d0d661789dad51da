"""Ends of rentals in plans, drift, policies and node lists, with and without a chain node."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.projects import NODE_ID, PROJECT, Emulated, Result, document, vm
from tests.proof.lab import SERVER_ID, WORLD

CHAIN = '  chain: {url: "http://127.0.0.1:9944"}\n'
NOW = datetime(2026, 11, 29, 5, 36, tzinfo=UTC)
END = 1_000_000 + round(2.1 * 86400 / 6)
LINE = "Node/gpu-a ends in 2 d 2 h, 2026-12-01 08:00 UTC"

Rented = Callable[..., Emulated]


@pytest.fixture
def rented(world: Rented) -> Rented:
    """A project with a VM on a machine whose rental ends in 2 d 2 h; further text is of the project file."""

    def made(text: str = CHAIN, **order: Any) -> Emulated:
        orders = {"112": {"renter": "tenant", "machine": NODE_ID, "end": END, **order}}
        emulated = world(vm(), orders=orders)
        emulated.project.write({"dbc-iac.yaml": PROJECT + text})
        return emulated

    return made


def run(emulated: Emulated, *arguments: str, now: datetime = NOW, **runtime: Any) -> Result:
    """A command at the time of the test."""
    given = {"transport": emulated.network.transport, "run": emulated.loop.run_until_complete, **runtime}
    return emulated.project.run(*arguments, now=lambda: now, **given)


def warnings(result: Result) -> Mapping[str, str]:
    """Severity by code, of a plan as JSON."""
    return {d["code"]: d["severity"] for d in result.json["diagnostics"]}


def test_each_view_shows_the_end_of_a_rental(rented: Rented, tmp_path: Path) -> None:
    emulated = rented()
    page, comment = tmp_path / "plan.html", tmp_path / "plan.md"
    plan = run(emulated, "plan", "--html", str(page), "--markdown", str(comment))
    assert f"Rentals:\n  {LINE}\n" in plan.out
    assert all(LINE in file.read_text() for file in (page, comment))
    for command in ("list", "show"):
        assert LINE.removeprefix("Node/gpu-a ends ") in run(emulated, "node", command).out
    assert LINE in run(emulated, "drift").out
    [row] = run(emulated, "node", "list", "--json").json
    assert row["rental"] == {
        "node": "Node/gpu-a", "order": "112", "endBlock": END, "endsAt": "2026-12-01T08:00:00+00:00", "secondsLeft": 181440
    }  # fmt: skip
    assert run(emulated, "drift", "--json").json["rentals"] == [row["rental"]]


def test_without_a_chain_node_the_last_block_is_shown_and_no_date(rented: Rented) -> None:
    emulated = rented("")
    shown = [
        (r := run(emulated, *command)).out + r.err
        for command in (("plan",), ("node", "list"), ("node", "show"), ("drift",))
    ]
    for text in shown:
        assert f"at block {END:,}" in text
        assert " UTC" not in text


def test_the_time_of_a_block_can_be_set(rented: Rented) -> None:
    emulated = rented('  chain: {url: "http://127.0.0.1:9944", blockTime: 12s}\n')
    assert "ends in 4 d 4 h, 2026-12-03 10:24 UTC" in run(emulated, "plan").out


@pytest.mark.parametrize(
    ("within", "refuse", "severity", "code"),
    [("3d", "", "warning", 0), ("3d", ", refuse: [rental-ends]", "error", 5), ("2d", "", None, 0)],
)
def test_a_rental_that_ends_soon_warns_or_refuses(
    rented: Rented, within: str, refuse: str, severity: str | None, code: int
) -> None:
    emulated = rented(f"{CHAIN}  thresholds: {{rentalEndsWithin: {within}{refuse}}}\n")
    result = run(emulated, "plan", "--json")
    assert (result.code, warnings(result).get("rental-ends")) == (code, severity)
    assert ("rental-ends" in run(emulated, "drift", "--json").err) == (severity is not None)


def test_a_rental_that_ends_soon_does_not_refuse_a_destroy(rented: Rented) -> None:
    emulated = rented(f"{CHAIN}  thresholds: {{rentalEndsWithin: 3d, refuse: [rental-ends]}}\n")
    assert run(emulated, "apply", "--yes").code == 5
    result = run(emulated, "destroy", "--yes")
    assert result.code == 0, result.out + result.err


def test_an_ended_rental_is_reported(rented: Rented) -> None:
    emulated = rented(f"{CHAIN}  thresholds: {{rentalEndsWithin: 3d}}\n", end=999_900)
    result = run(emulated, "plan")
    text = result.out + result.err
    assert "the rental of Node/gpu-a has ended" in text
    assert "Node/gpu-a ended on 2026-11-29 05:26 UTC" in text


def test_a_reviewed_plan_is_refused_if_its_rental_ends_meanwhile(rented: Rented, tmp_path: Path) -> None:
    emulated = rented(f"{CHAIN}  thresholds: {{rentalEndsWithin: 2d, refuse: [rental-ends]}}\n")
    assert run(emulated, "plan", "-o", str(tmp_path / "plan.json")).code == 0
    later = run(emulated, "apply", str(tmp_path / "plan.json"), "--yes", now=NOW.replace(hour=9))
    assert (later.code, "the rental of Node/gpu-a ends soon" in later.out + later.err) == (5, True)


def test_policies_see_the_rental_of_a_change_and_of_the_plan(rented: Rented) -> None:
    policies = """  policies:
    - {name: soon, warn: "change.rental.secondsLeft < 3 * 86400", message: "on {{ change.rental.node }}"}
    - {name: blocks, warn: "plan.rentals[0].endBlock > 0", each: plan, message: "{{ plan.rentals | length }} rental"}
"""
    result = run(rented(CHAIN + policies), "plan", "--json")
    texts = [d["summary"] for d in result.json["diagnostics"]]
    assert texts == ["VirtualMachine/trainer: on Node/gpu-a", "1 rental"]


def test_a_chain_node_that_does_not_answer_is_a_warning(rented: Rented) -> None:
    emulated = rented(f"{CHAIN}  thresholds: {{rentalEndsWithin: 3d}}\n")

    def transport(name: str) -> httpx.AsyncBaseTransport:
        down = httpx.MockTransport(lambda request: httpx.Response(503))
        return down if name == "chain" else emulated.network.transport(name)

    for command in (("plan",), ("node", "list"), ("drift",)):
        result = run(emulated, *command, transport=transport)
        text = result.out + result.err
        assert (result.code, "the current block of the chain is unknown" in text) == (0, True), text
    assert "dbc-iac.yaml:14" in text


def test_a_node_without_resources_is_listed_only_with_a_chain_node(rented: Rented) -> None:
    for text, shown in ((CHAIN, True), ("", False)):
        emulated = rented(text)
        manifests = emulated.project.directory / "manifests/all.yaml"
        manifests.write_text(manifests.read_text().partition("---")[0])
        assert ("Rentals:" in run(emulated, "plan").out) == shown


def test_a_plan_from_the_state_alone_asks_no_chain_node(rented: Rented) -> None:
    assert "Rentals:" not in run(rented(), "plan", "--refresh=false").out


def test_a_threshold_without_a_chain_node_is_refused(rented: Rented) -> None:
    result = run(rented("  thresholds: {rentalEndsWithin: 3d}\n"), "validate", "--json")
    assert (result.code, "rentalEndsWithin requires a chain node" in result.err) == (3, True)


def test_a_rented_bare_metal_server_has_its_rental_too(world: Rented) -> None:
    machines = {NODE_ID: {"renter": "tenant", "orders": ["112"]}, SERVER_ID: {"status": "rented"}}
    emulated = world(
        **{**WORLD, "machines": machines, "orders": {"112": {"renter": "tenant", "machine": SERVER_ID, "end": END}}}
    )
    box = {"nodeId": SERVER_ID, "identity": "tenant", "rentOrder": "112", "power": "on"}
    emulated.project.write(
        {"dbc-iac.yaml": PROJECT + CHAIN, "manifests/all.yaml": document("BareMetalInstance", "box", box)}
    )
    result = run(emulated, "plan")
    assert LINE.replace("Node/gpu-a", "BareMetalInstance/box") in result.out, result.out + result.err
