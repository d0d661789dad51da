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
    return Reply(f'{{"errcode":{errcode}, "message":"{text}"}}')


def pasted(**values: str | int | None) -> str:
    """An object of pasted values: texts between quotes as they are, numbers bare; None leaves a key out."""
    parts = (f'"{k}":{v}' if isinstance(v, int) else f'"{k}":"{v}"' for k, v in values.items() if v is not None)
    return "{" + ", ".join(parts) + "}"


class RefusedError(Exception):
    """Ends a handler with a refusal."""

    def __init__(self, errcode: int, text: str) -> None:
        super().__init__(text)
        self.reply = refused(errcode, text)


class ProcessDiedError(Exception):
    """The real process would have ended here. Nobody gets an answer."""
