"""What a value must look like: a rule, its words for people, and what to write instead. Knows no kind.

    Token = Annotated[str, Form(r"[a-z]+", "lower-case letters", "Write it like this: abc.")]

Validators raise `wrong(...)`, not ValueError: so every refused value gets a remedy.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

WRONG = "wrong"
"""Type of the pydantic errors that `wrong` makes."""


def wrong(summary: str, remedy: str, *, at: str = "") -> PydanticCustomError:
    """An error of pydantic with our words. `at`: the field that is meant, where a whole part is checked.

    Neither text may hold the value of a secret.
    """
    return PydanticCustomError(WRONG, "{summary}", {"summary": summary, "remedy": remedy, "at": at})


@dataclass(frozen=True, slots=True)
class Shape:
    """A text that matches `pattern` in full and has at most `most` bytes. `words` complete "expected ..."."""

    pattern: str
    words: str
    remedy: str
    most: int = 1000

    def fits(self, value: str) -> bool:
        return re.fullmatch(self.pattern, value) is not None and len(value.encode(errors="replace")) <= self.most


@dataclass(frozen=True, slots=True)
class Form(Shape):
    """The shape of a text that stands in a document."""

    def check(self, value: str) -> str:
        """The value. Raises for another shape."""
        if not self.fits(value):
            raise wrong(f"expected {self.words}", self.remedy)
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        whole = f"({self.pattern})" if "|" in self.pattern else self.pattern
        return {**handler(schema), "pattern": f"^{whole}$"}


@dataclass(frozen=True, slots=True)
class SecretForm(Shape):
    """The shape of a secret's value, known only when it is read: then a plan tells, and does not show it."""


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number from `low` to `high`; never a text or a word for one."""

    low: int
    high: int
    remedy: str = ""

    def check(self, value: int) -> int:
        if not self.low <= value <= self.high:
            raise wrong(f"must be {self.low} to {self.high}", self.remedy or f"Write {self.low} to {self.high}.")
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, core_schema.int_schema(strict=True))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "integer", "minimum": self.low, "maximum": self.high}


class Part(BaseModel):
    """A part of the project file."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True, hide_input_in_errors=True)
