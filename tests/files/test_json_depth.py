"""JSON is read with a bound on its nesting, below the limit of the parser."""

from __future__ import annotations

import pytest

from dbc_iac.json import MOST_DEPTH, load_json


@pytest.mark.parametrize("opening", ["[", '{"a":'])
@pytest.mark.parametrize("depth", [MOST_DEPTH + 1, 900, 100_000])
def test_nesting_past_the_limit_is_a_value_error(opening: str, depth: int) -> None:
    closing = "]" if opening == "[" else "}"
    with pytest.raises(ValueError, match="nested too deeply"):
        load_json(opening * depth + "1" + closing * depth)


def test_nesting_at_the_limit_is_read() -> None:
    assert load_json("[" * MOST_DEPTH + "]" * MOST_DEPTH) is not None
    assert load_json(b'{"a": [1, {"b": null}], "c": "[[["}') == {"a": [1, {"b": None}], "c": "[[["}
