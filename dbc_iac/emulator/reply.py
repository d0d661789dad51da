"""Reply of a target: concatenated text without escaping, exactly as by the real software."""

from __future__ import annotations

from msgspec import Struct


class Reply(Struct, frozen=True):
    """Text of a reply. It may be broken JSON: the client node then answers `response parse error`."""

    text: str


def done(message: str = '"ok"') -> Reply:
    """Success; `message` is JSON text."""
    return Reply(f'{{"errcode":0, "message":{message}}}')


def refused(errcode: int, text: str) -> Reply:
    """A refusal; the text is inserted unescaped."""
    return Reply(f'{{"errcode":{errcode}, "message":"{text}"}}')


class RefusedError(Exception):
    """Refusal of a request by the target."""

    def __init__(self, errcode: int, text: str) -> None:
        super().__init__(text)
        self.reply = refused(errcode, text)


class ProcessDied(Exception):  # noqa: N818
    """The real process would have crashed here; no answer is sent."""


class NeverAnswered(Exception):  # noqa: N818
    """The target accepts the request and never answers."""
