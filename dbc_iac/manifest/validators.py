"""Rules for values: a check, its description and a remedy. Independent of the kinds.

    Token = Annotated[str, Form(r"[a-z]+", "lower-case letters", "Write it like this: abc.")]

Validators raise `wrong(...)`, not ValueError, so that every refused value has a remedy.
"""

from __future__ import annotations

import re
from typing import Any

from msgspec import Struct
from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

WRONG = "wrong"
"""Type of the pydantic errors that `wrong` creates."""


def wrong(summary: str, remedy: str, *, detail: str = "", at: str = "") -> PydanticCustomError:
    """A pydantic error with summary, detail and remedy. `at`: the field, where a whole model is validated.

    No text may contain the value of a secret.
    """
    context = {"summary": summary, "detail": detail, "remedy": remedy, "at": at}
    return PydanticCustomError(WRONG, "{summary}", context)


class Shape(Struct, frozen=True):
    """A text that matches `pattern` in full and has at most `most` bytes.

    `words` completes "expected …" within 72 characters, with the field; `detail` has the reason.
    """

    pattern: str
    words: str
    remedy: str
    most: int = 1000
    detail: str = ""

    def fits(self, value: str) -> bool:
        return re.fullmatch(self.pattern, value) is not None and len(value.encode(errors="replace")) <= self.most


class Form(Shape, frozen=True):
    """Shape of a text field of a document."""

    def check(self, value: str) -> str:
        """The value. Raises if it has another shape."""
        if not self.fits(value):
            raise wrong(f"expected {self.words}", self.remedy, detail=self.detail)
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        whole = f"({self.pattern})" if "|" in self.pattern else self.pattern
        return {**handler(schema), "pattern": f"^{whole}$"}


class SecretForm(Shape, frozen=True):
    """Shape of a secret's value, checked when the secret is resolved. Diagnostics never contain the value."""


class Whole(Struct, frozen=True):
    """A whole number from `low` to `high`; text is refused."""

    low: int
    high: int
    remedy: str = ""

    def check(self, value: int) -> int:
        if not self.low <= value <= self.high:
            raise wrong(
                f"is {value}, expected {self.low} to {self.high}",
                self.remedy or f"Write a number from {self.low} to {self.high}.",
            )
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, core_schema.int_schema(strict=True))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "integer", "minimum": self.low, "maximum": self.high}


class Part(BaseModel):
    """Base of the models of the project file."""

    model_config = ConfigDict(
        defer_build=True, alias_generator=to_camel, extra="forbid", frozen=True, hide_input_in_errors=True
    )
