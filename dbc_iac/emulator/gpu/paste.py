"""Reply texts, pasted together between quotes without any escaping, as the node does it.

A quote, a newline or a backslash in a value breaks the reply: that is wanted, the client node then answers 500
`response parse error`. Nothing in here may use a JSON writer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dbc_iac.emulator.reply import Reply

OK = '"ok"'


class Refused(Exception):  # noqa: N818 - the word of the wire documents
    """The node refuses, errcode 1 unless told. `separator` is what that writer puts before the message."""

    def __init__(self, text: str, errcode: int = 1, separator: str = ", ") -> None:
        super().__init__(text)
        self.errcode = errcode
        self.text = text
        self.reply = Reply(f'{{"errcode":{errcode}{separator}"message":{quoted(text)}}}')


def refuse_tightly(text: str) -> Refused:
    """Errcode 1 from the writers of disks and snapshots, which put no space."""
    return Refused(text, separator=",")


def spaced(message: str) -> Reply:
    """Success from the writers that put a space before `"message"`."""
    return Reply(f'{{"errcode":0, "message":{message}}}')


def tight(message: str) -> Reply:
    """Success from the writers that put no space (disks, progress, node information)."""
    return Reply(f'{{"errcode":0,"message":{message}}}')


def quoted(text: str) -> str:
    return f'"{text}"'


def array(items: Iterable[str]) -> str:
    return f"[{','.join(items)}]"


def texts(items: Iterable[str]) -> str:
    return array(quoted(item) for item in items)


def fields(values: Mapping[str, str], separator: str = ",") -> str:
    """An object of texts."""
    return "{" + separator.join(f"{quoted(key)}:{quoted(value)}" for key, value in values.items()) + "}"
