"""What a target answers: text pasted together, exactly as the real software does it, with nothing escaped."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reply:
    """The text of an answer. It may be broken JSON: the client node then says `response parse error`."""

    text: str


def done(message: str = '"ok"') -> Reply:
    """Success; `message` is JSON text."""
    return Reply(f'{{"errcode":0, "message":{message}}}')


def refused(errcode: int, text: str) -> Reply:
    """A refusal; the text is pasted as it is."""
    return Reply(f'{{"errcode":{errcode}, "message":"{text}"}}')


class RefusedError(Exception):
    """Ends a request at the target with a refusal."""

    def __init__(self, errcode: int, text: str) -> None:
        super().__init__(text)
        self.reply = refused(errcode, text)


class ProcessDied(Exception):  # noqa: N818 - what happened, not an error of the caller
    """The real process would have ended here. Nobody gets an answer."""


class NeverAnswered(Exception):  # noqa: N818 - what happens, not an error of the caller
    """The target takes the request and says nothing, ever."""
