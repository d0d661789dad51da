"""Any alteration of a plan file with a fresh digest: it is refused before the first call, or shown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.examples import examples
from tests.proof.altered import WRONG, Trials, alterable, altered

SENTENCES = {"reasons", "notes"}
"""Members of a change that only people read."""
RECORDED = {"desired", "secrets"}
"""Members of a change that may be recorded in the state without a call."""


@pytest.fixture(scope="module", params=[("nothing", "created"), ("created", "changed")], ids=lambda p: p[1])
def trials(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trials]:
    made = Trials(tmp_path_factory.mktemp("altered"), *request.param)
    yield made
    made.close()


@settings(
    max_examples=examples(suite=60, proof=2000),
    derandomize=True,
)
@given(st.integers(0, 2**31), st.sampled_from([..., ..., *WRONG]))
def test_an_altered_plan_file_is_refused_before_any_call_or_shown(trials: Trials, number: int, value: Any) -> None:
    places = alterable(trials.plan)
    place = places[number % len(places)]
    plan = altered(trials.plan, place, value)
    if plan == trials.plan:
        return
    shown = trials.show(plan)
    result, calls = trials.apply(plan)
    said = (place, value, result.code, result.err)
    assert result.code != 70, said
    if result.code in {3, 5}:
        assert calls == [], said
        return
    assert shown is not None, said
    if shown == trials.shown:
        assert calls == trials.calls, said
    elif place[0] in {"changes", "steps", "hooks", "moves"} and not {*place[2:3]} & (SENTENCES | RECORDED):
        assert calls != trials.calls, said


@pytest.mark.parametrize("trials", [("nothing", "created")], indirect=True)
@pytest.mark.parametrize("path", ["memory", "cpus", "image", "nicModel", "ports.vnc"])
def test_a_creation_without_a_required_value_is_refused_before_any_call(trials: Trials, path: str) -> None:
    number = next(n for n, c in enumerate(trials.plan["changes"]) if c["address"] == "VirtualMachine/worker")
    result, calls = trials.apply(altered(trials.plan, ("changes", number, "desired", path)))
    assert (result.code, result.codes, calls) == (3, ["not-a-plan"], []), result.err
    assert "VirtualMachine/worker" in result.err
