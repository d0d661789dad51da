"""Templates that only name values, such as `vm-{{ each.key }}`: most of them, and read without the template worker.

Nothing is evaluated: a name is looked up in mappings. Anything else, problems included, is left to the worker.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from dbc_iac.manifest.numbers import IntegerText, NumberText, TextOfNumber

MAX_LENGTH = 10_000
"""Maximum length of a text, of its values, and of the result, in characters; the worker has limits of its own."""
_MAX_INTEGER = 2**63
_NAME = re.compile(r"\{\{ *([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*) *\}\}", re.ASCII)
_NOT_LITERAL = re.compile(r"\{[{%]|[\r\0]")
"""Other markup in the literal part of a text, and characters that Jinja changes there."""


class NotPlainError(Exception):
    """The text does more than name values, or a name has no plain value."""


def looked_up(text: str, names: Mapping[str, Any]) -> Any:
    """The value of a text, as the template worker gives it. Raises NotPlainError if the worker has to."""
    if len(text) > MAX_LENGTH:
        raise NotPlainError
    if whole := _NAME.fullmatch(text.strip()):
        return _value(whole[1], names)
    literals = _NAME.split(text)[::2]
    if any(map(_NOT_LITERAL.search, literals)):
        raise NotPlainError
    made = _NAME.sub(lambda found: str(_value(found[1], names)), text)
    if len(made) > MAX_LENGTH:
        raise NotPlainError
    return made


def _value(name: str, names: Mapping[str, Any]) -> Any:
    value: Any = names
    for part in name.split("."):
        if not isinstance(value, Mapping) or part not in value:
            raise NotPlainError
        value = value[part]
    if type(value) in {str, TextOfNumber} and len(value) <= MAX_LENGTH:
        return str(value)
    if value is None or type(value) in {bool, NumberText}:
        return value
    if type(value) in {int, IntegerText} and abs(value) < _MAX_INTEGER:
        return value
    raise NotPlainError
