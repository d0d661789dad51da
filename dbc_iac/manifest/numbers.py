"""Numbers that keep their original text. Imports nothing: the template worker needs it, too."""

from __future__ import annotations


class NumberText(float):
    """A number with a fraction and its original text: a text field gets `1.10`, not `1.1`."""

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
    """A whole number whose original text differs from its decimal form: a text field gets `0x1F`, not `31`."""

    text: str

    def __new__(cls, text: str) -> IntegerText:
        number = super().__new__(cls, text, 0)
        number.text = text
        return number

    def __reduce__(self) -> tuple[type, tuple[str]]:
        return type(self), (self.text,)


class TextOfNumber(str):
    """Text of a number with a fraction, for text fields; `number` is the number again."""

    __slots__ = ("number",)

    number: NumberText

    def __new__(cls, number: NumberText) -> TextOfNumber:
        text = super().__new__(cls, number.text)
        text.number = number
        return text

    def __reduce__(self) -> tuple[type, tuple[NumberText]]:
        return type(self), (self.number,)
