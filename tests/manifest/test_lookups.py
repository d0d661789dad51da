"""Texts that only name values have the value that the template worker gives them, or are left to it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbc_iac.diagnostics import Diagnostics
from dbc_iac.manifest import templates
from dbc_iac.manifest.evaluation import EvaluationError, evaluate
from dbc_iac.manifest.numbers import IntegerText, NumberText, TextOfNumber
from dbc_iac.manifest.source_map import SourceMap
from dbc_iac.manifest.template_process import Answer, Ask
from dbc_iac.manifest.template_worker import _line, unpacked
from dbc_iac.manifest.templates import MAX_LENGTH, NotPlainError, looked_up

NAMES: dict[str, Any] = {
    "var": {
        "image": "ubuntu.qcow2", "count": 3, "on": True, "nothing": None, "hex": IntegerText("0x1F"),
        "size": NumberText("1.10"), "version": TextOfNumber(NumberText("1.20")), "items": "of the user", "huge": 10**30,
        "list": [1], "nested": {"a": {"b": "deep"}}, "long": "x" * (MAX_LENGTH + 1), "_x": "private", "__class__": "key",
    },
    "each": {"key": "vm-1", "value": {"node": "gpu-a"}},
    "env": "prod",
    "project": "lab",
}  # fmt: skip
PLAIN = (
    "{{ each.key }}", "{{each.value.node}}", "{{ var.count }}", "{{ var.on }}", "{{ var.nothing }}", "{{ var.hex }}",
    "{{ var.size }}", "{{ var.version }}", "{{ var.items }}", "{{ var.nested.a.b }}", "{{ env }}", "{{ var._x }}",
    "{{ var.__class__ }}", "{{ project }}-{{ each.key }}", "a {{ var.hex }} {{ var.size }} {{ var.nothing }} {# b }}",
    "{{ env }}\r\n", " {{ env }}", "{{ env }}{{ env }}",
)  # fmt: skip
LEFT = (
    "{{ var.list }}", "{{ var.huge }}", "{{ var.long }}", "{{ var.absent }}", "{{ env.upper() }}", "{{ env | upper }}",
    "{{ 1 }}", "{{ var['image'] }}", "{{- env }}", "{% if env %}{{ env }}{% endif %}", "{{ env }}{{ 1 }}", "{{ range }}",
    "a\r\n{{ env }}", "{{ True }}", "{{ env }} {{", "{{ env.x }}", "{{ var.count.real }}",
)  # fmt: skip


def worked(text: str) -> Any:
    """The value that the template worker answers with."""
    return unpacked(_line(["value", evaluate("text", text, NAMES), 0.0]))[1]


@pytest.mark.parametrize("text", PLAIN)
def test_a_text_that_names_values_has_the_value_that_the_worker_gives_it(text: str) -> None:
    value, expected = looked_up(text, NAMES), worked(text)
    assert (value, type(value), str(value)) == (expected, type(expected), str(expected))


@pytest.mark.parametrize("text", LEFT)
def test_any_other_text_is_left_to_the_worker(text: str) -> None:
    with pytest.raises(NotPlainError):
        looked_up(text, NAMES)


def test_a_tree_of_names_is_rendered_without_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Ask] = []

    def ask(asks: list[Ask], names: object) -> list[Answer]:
        asked.extend(asks)
        return [Answer("5") for _ in asks]

    monkeypatch.setattr(templates, "ask", ask)
    render = templates.Templates(NAMES).render
    tree = {"a": ["{{ env }}", {"b": "{{ project }}-{{ each.key }}"}], "c": 1}
    assert render(tree, SourceMap(), Diagnostics()) == {"a": ["prod", {"b": "lab-vm-1"}], "c": 1}
    assert asked == []
    assert render(["{{ env }}", "{{ 2 + 3 }}"], SourceMap(), Diagnostics()) == ["prod", "5"]
    assert [one.text for one in asked] == ["{{ 2 + 3 }}"]


@given(st.lists(st.sampled_from([*"{}% .-#\r\n_\"'|a", "{{", "}}", "var", "env", "each", "key", "count"]), max_size=12))
def test_no_text_has_another_value_than_the_worker_gives_it(parts: list[str]) -> None:
    text = "".join(parts)
    try:
        value = looked_up(text, NAMES)
    except NotPlainError:
        return
    try:
        expected = worked(text)
    except EvaluationError as error:
        raise AssertionError(text) from error
    assert (value, type(value)) == (expected, type(expected))
