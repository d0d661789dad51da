"""Numbers that remember their text. Imports nothing: the template worker needs it, too."""

from __future__ import annotations


class NumberText(float):
    """A number with a fraction that remembers how it was written: `1.10` is not `1.1` where text is wanted."""

    text: str

    def __new__(cls, text: str) -> NumberText:
        number = super().__new__(cls, text)
        number.text = text
        return number

    def __str__(self) -> str:
        return self.text

    def __reduce__(self) -> tuple[type, tuple[str]]:
        return type(self), (self.text,)


class IntegerText(int):
    """A whole number that is written in another way than it prints: `0x1F` is not `31` where text is wanted."""

    text: str

    def __new__(cls, text: str) -> IntegerText:
        number = super().__new__(cls, text, 0)
        number.text = text
        return number

    def __reduce__(self) -> tuple[type, tuple[str]]:
        return type(self), (self.text,)


class TextOfNumber(str):
    """The text of a number with a fraction, for fields that want text."""

    __slots__ = ("number",)

    number: NumberText

    def __new__(cls, number: NumberText) -> TextOfNumber:
        text = super().__new__(cls, number.text)
        text.number = number
        return text

    def __reduce__(self) -> tuple[type, tuple[NumberText]]:
        return type(self), (self.number,)
