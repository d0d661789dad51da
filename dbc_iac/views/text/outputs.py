"""The outputs of a project as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dbc_iac.views.text.fields import value_text


def outputs_text(values: Mapping[str, Any]) -> str:
    """One `name = value` per line."""
    return "\n".join(f"{name} = {value_text(value)}" for name, value in values.items())
