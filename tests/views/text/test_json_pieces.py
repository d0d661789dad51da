"""JSON output in pieces: the same text as in one, without the whole of it in memory."""

from __future__ import annotations

import json

from dbc_iac.plan.model import canonical_digest
from dbc_iac.views.text.lines import json_pieces, json_text
from tests.views.plans import everything


def test_pieces_give_the_text_of_the_whole_value() -> None:
    members = {"one": [1, {"a": "b\u2028c"}], "none": [], "text": "x", "nested": {"a": {"b": []}}, "last": [[], {}]}
    lazy = {key: iter(value) if isinstance(value, list) else value for key, value in members.items()}
    assert "\n".join(json_pieces(lazy)) == json_text(members)
    assert "\n".join(json_pieces({"a": iter(())})) == json_text({"a": []})


def test_the_digest_of_a_plan_is_that_of_its_canonical_text() -> None:
    value = everything().to_json()
    digest = value.pop("digest")
    del value["diagnostics"]
    assert digest == everything().digest == canonical_digest(value)
    assert json.loads("\n".join(json_pieces(dict(everything().members())))) == everything().to_json()
