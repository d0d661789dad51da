"""The four outcomes of a call, and the table that classifies a reply. Pure; no I/O.

The HTTP status does not tell success: every answer of a GPU node or manager is HTTP 200, its refusals included, and one
errcode means different things at different layers. So a reply is classified by status, errcode *and* text.

    Done       the node answered that it did or accepted it; the value is its message, decoded
    Refused    the target or the client node answered that it will not; `effect` is what may have changed anyway
    NotSent    the request has certainly not reached the target
    Unknown    it may have been carried out, or may still be: never to be read as "not done", nor as "absent"
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, Generic, Literal, TypeVar

from msgspec import Struct

from dbc_iac.api.refusals import AUTHORITY_PREFIX, Effect, RefusalKind, effect_of, is_transient, kind_of
from dbc_iac.json import load_json

__all__ = [
    "Done",
    "Effect",
    "InconclusiveError",
    "NotSent",
    "Outcome",
    "RefusalKind",
    "Refused",
    "ShapeError",
    "Unknown",
    "classify",
    "decoded",
]

T = TypeVar("T")

CLIENT_PAUSE = 60.0
"""Seconds that a client node is left alone after `broadcast request failed`, when it probably crashes 30 s later, and
that it gets no reads when it has answered none."""


class Done(Struct, Generic[T], frozen=True):
    value: T


_NOT_RENTED = frozenset({"machine is not be rented", "wallet not rented", "machine has already expired"})


class Refused(Struct, frozen=True):
    """An answer that says no. `errcode` is 0 if the reply carried none (an HTML page, or no request was made)."""

    message: str
    errcode: int
    status: int
    effect: Effect
    transient: bool
    kind: RefusalKind

    @property
    def authority(self) -> bool:
        return self.kind is RefusalKind.AUTHORITY

    @property
    def reason(self) -> str:
        """The part after `check authority failed:`, else the whole message."""
        return self.message.removeprefix(AUTHORITY_PREFIX).strip()

    @property
    def not_rented(self) -> bool:
        """The machine is not rented at all, or not by this wallet under this order, or its rental has ended."""
        return self.authority and self.reason in _NOT_RENTED

    @property
    def session_invalid(self) -> bool:
        return self.authority and self.reason == "session_id is invalid"


class NotSent(Struct, frozen=True):
    """`retry_after`: seconds without requests to the client node. `target_unknown`: it has not heard of the target."""

    message: str
    retry_after: float | None = None
    target_unknown: bool = False


class Unknown(Struct, frozen=True):
    """`maybe`: no answer came. `handled`: the target answered, but whether yes or no cannot be read."""

    message: str
    executed: Literal["maybe", "handled"] = "maybe"
    broke: bool = False
    """Whether the connection broke before the answer: a call that only reads may be repeated at once."""


Outcome = Done[T] | Refused | NotSent | Unknown


class ShapeError(ValueError):
    """A reply that is not shaped as the API's. Decoders raise it; `decoded` turns it into `Unknown`."""


class InconclusiveError(ShapeError):
    """A reply that has the right shape and proves nothing, such as an empty listing of an image server."""


def decoded(outcome: Outcome[Any], decode: Callable[[object], T], **asked: str) -> Outcome[T]:
    """The outcome with its value decoded; a value of an unexpected shape is `Unknown`, never an exception.

    `asked`: fields of the value by which it was asked for.
    """
    if not isinstance(outcome, Done):
        return outcome
    try:
        value = decode(outcome.value)
        for name, wanted in asked.items():
            if getattr(value, name) != wanted:
                raise ShapeError(f"it has another {name} than was asked for")
        return Done(value)
    except InconclusiveError as error:
        return Unknown(str(error), "handled")
    except ShapeError as error:
        return Unknown(f"unexpected reply: {error}", "handled")


def classify(status: int, content_type: str, body: bytes, path: str) -> Outcome[object]:
    """The outcome of one HTTP reply.

    `path` is that of the request, below `/api/v1`: what a refusal left behind depends on its first two segments, such
    as `tasks/modify`. `content_type` is not trusted: the node sends `application/json` with broken JSON too.
    """
    envelope = _envelope(body)
    if envelope is None:
        return _without_envelope(status, content_type, body)
    errcode, message = envelope
    if (status, errcode) == (200, 0):
        return Done(message)
    text = plain(message) if isinstance(message, str) else ""
    operation = "/".join(path.partition("?")[0].strip("/").split("/")[:2])
    if status != 200:
        return _from_client_node(status, errcode, text, operation)
    # Answered by a GPU node or a manager, or by the client node for itself.
    if not isinstance(message, str):
        return Unknown(f"errcode {errcode} without a text", "handled")
    return Refused(text, errcode, 200, effect_of(text, operation), is_transient(text), kind_of(text, operation))


def _from_client_node(status: int, errcode: int, text: str, operation: str) -> Outcome[object]:
    """Any other status: the client node itself (or a manager on its own port), which has not forwarded the request,
    or has and did not get an answer that it could read."""
    if (status, errcode) == (500, -1):
        return Unknown(text, "handled" if _HANDLED.search(text) else "maybe")
    if (status, errcode) == (400, -32701) and text in _NOT_FORWARDED:
        pause = CLIENT_PAUSE if text == "broadcast request failed" else None
        return NotSent(text, pause, target_unknown=text == "create node request failed")
    if status in {400, 404} or (status, errcode) == (500, -32701):
        kind = kind_of(text, operation)
        if kind is RefusalKind.OTHER or errcode == -32701:
            # Of -32701: a LAN that the client node has not heard of itself tells nothing about the machine room.
            kind = RefusalKind.LOCAL
        return Refused(text, errcode, status, Effect.NONE, False, kind)
    return Unknown(f"HTTP {status}, errcode {errcode}: {text}")


_NOT_FORWARDED = frozenset(
    {"create node request failed", "add timer failed", "create request session failed", "broadcast request failed"}
)
_HANDLED = re.compile(r"parse error|decrypt error|pub_key or priv_key is empty")
"""500/-1 texts of replies that did arrive but could not be read."""

_LIBEVENT_PAGE = b"<HTML><HEAD>\n<TITLE>"
_LIBEVENT_STATUS = frozenset({400, 413, 501, 503})


def _without_envelope(status: int, content_type: str, body: bytes) -> Outcome[object]:
    """A reply that is no `{errcode, message}`: broken JSON, a page of the HTTP library, or of a proxy in front."""
    if status == 200:
        # Unescaped quotes break the JSON of a request that *was* carried out.
        return Unknown("the reply is not the JSON of the API", "handled")
    page = f"HTTP {status} ({plain(content_type) or 'no content type'})"
    if status in _LIBEVENT_STATUS and body.startswith(_LIBEVENT_PAGE):
        # 503 is a node that is going down.
        return Refused(page, 0, status, Effect.NONE, status == 503, RefusalKind.LOCAL)
    if 300 <= status < 500 and status != 408:
        return Refused(page, 0, status, Effect.NONE, status == 429, RefusalKind.LOCAL)
    return Unknown(page)


def _envelope(body: bytes) -> tuple[int, object] | None:
    try:
        # The node passes invalid UTF-8 through; such a byte must not make a whole list unreadable.
        text = body.decode("utf-8", "replace")
        reply = load_json(text, constants=False, surrogates=True)
        if "\\u" in text:
            # A stray surrogate has no UTF-8 and would fail wherever it is written.
            reply = json.loads(json.dumps(reply, ensure_ascii=False).encode("utf-8", "replace"))
    except ValueError:
        return None
    if not isinstance(reply, dict) or "message" not in reply:
        return None
    errcode = reply.get("errcode")
    if not isinstance(errcode, int) or isinstance(errcode, bool):
        return None
    return errcode, reply["message"]


def plain(text: str) -> str:
    """A text of the node as it may be shown: one line, bounded, without control characters and stray surrogates."""
    text = text.encode("utf-8", "replace").decode().replace(" <line> ", "; ")  # between lines of ipmitool
    text = "".join(c if c.isprintable() else " " for c in text)
    return text if len(text) <= 500 else f"{text[:499]}…"
