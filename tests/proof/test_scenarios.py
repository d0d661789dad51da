"""Every row of the table of failure scenarios."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

from tests.proof.play import Scenario
from tests.proof.scenarios import SCENARIOS

ROWS = 30


@pytest.mark.parametrize("scenario", [s for s in SCENARIOS if s.steps], ids=lambda s: f"{s.row} {s.name}")
def test_a_failure_scenario_converges(scenario: Scenario, tmp_path: Path) -> None:
    scenario.play(tmp_path)


def test_every_row_has_a_scenario() -> None:
    assert sorted({s.row for s in SCENARIOS}) == list(range(1, ROWS + 1))
    named = [place.split(":") for s in SCENARIOS for place in s.elsewhere]
    assert [f"{m}:{f}" for m, f in named if not callable(getattr(import_module(m), f, None))] == []
    assert [s.name for s in SCENARIOS if not s.steps and not s.elsewhere] == []
