"""Replies concatenated between quotes without escaping, as by the node.

A quote, newline or backslash in a value breaks the reply on purpose: the client node then answers 500
`response parse error`. A JSON writer must not be used here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dbc_iac.emulator.reply import Reply

OK = '"ok"'


class Refused(Exception):  # noqa: N818
    """Refusal by the node, errcode 1 by default. `separator`: text before the message, which differs by endpoint."""

    def __init__(self, text: str, errcode: int = 1, separator: str = ", ") -> None:
        super().__init__(text)
        self.errcode = errcode
        self.text = text
        self.reply = Reply(f'{{"errcode":{errcode}{separator}"message":{quoted(text)}}}')


def refuse_tightly(text: str) -> Refused:
    """Refusal with errcode 1 of disk and snapshot endpoints, which write no space."""
    return Refused(text, separator=",")


def spaced(message: str) -> Reply:
    """Success of endpoints that write a space before `"message"`."""
    return Reply(f'{{"errcode":0, "message":{message}}}')


def tight(message: str) -> Reply:
    """Success of endpoints that write no space (disks, progress, node information)."""
    return Reply(f'{{"errcode":0,"message":{message}}}')


def quoted(text: str) -> str:
    return f'"{text}"'


def array(items: Iterable[str]) -> str:
    return f"[{','.join(items)}]"


def texts(items: Iterable[str]) -> str:
    return array(quoted(item) for item in items)


def fields(values: Mapping[str, str], separator: str = ",") -> str:
    """JSON object of texts."""
    return "{" + separator.join(f"{quoted(key)}:{quoted(value)}" for key, value in values.items()) + "}"
