"""JSON is read with bounds on its nesting, below the limit of the parser, and on its values."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dbc_iac.json import MAX_DEPTH, MAX_VALUES, load_json


@pytest.mark.parametrize("opening", ["[", '{"a":'])
@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 900, 100_000])
def test_nesting_past_the_limit_is_a_value_error(opening: str, depth: int) -> None:
    closing = "]" if opening == "[" else "}"
    with pytest.raises(ValueError, match="nested too deeply"):
        load_json(opening * depth + "1" + closing * depth)


def test_nesting_at_the_limit_is_read() -> None:
    assert load_json("[" * MAX_DEPTH + "]" * MAX_DEPTH) is not None
    assert load_json(b'{"a": [1, {"b": null}], "c": "[[["}') == {"a": [1, {"b": None}], "c": "[[["}


@pytest.mark.parametrize("kind", [str, str.encode])
@pytest.mark.parametrize("value", ["{}", "[]", "1"])
def test_more_values_than_the_limit_are_a_value_error(value: str, kind: Callable[[str], str | bytes]) -> None:
    """28 MiB of `{},` would take 1 GiB of memory."""
    with pytest.raises(ValueError, match="more than 2000000 values"):
        load_json(kind(f"[{','.join([value] * MAX_VALUES)},1]"))


@pytest.mark.parametrize(
    "text", ['["\\ud800"]', '{"\\uDFFF": 1}', '["\ud800"]', b'["\xed\xa0\x80"]', '["\\ude00\\ud83d"]']
)
def test_half_of_a_surrogate_pair_is_a_value_error(text: str | bytes) -> None:
    with pytest.raises(ValueError, match="surrogates not allowed"):
        load_json(text)
    assert load_json(text, surrogates=True)


def test_surrogate_pairs_are_read() -> None:
    assert load_json(b'["\\ud83d\\ude00", "\\\\ud800"]') == ["\U0001f600", "\\ud800"]
