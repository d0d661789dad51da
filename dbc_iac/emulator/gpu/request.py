"""A request as the GPU node gets it, and who sends it. The client node has done its own checks before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


class Caller(Protocol):
    """Whoever passed the authority check. `role`: wallet, session or verifier; `rent_order`: as sent, may be empty."""

    @property
    def wallet(self) -> str: ...
    @property
    def role(self) -> str: ...
    @property
    def rent_order(self) -> str: ...


@dataclass(frozen=True, slots=True)
class NodeRequest:
    """`path`: segments after the operation's own. `additional`: the JSON object as parsed.

    `image_server`: its id when the client node resolved one; empty otherwise. Texts of the query are raw.
    `breaks`: the part of the file after which the transfer that it starts breaks off.
    """

    path: tuple[str, ...] = ()
    query: Mapping[str, str] = field(default_factory=dict)
    additional: Mapping[str, object] = field(default_factory=dict)
    image_server: str = ""
    breaks: float = 1.0

    @property
    def task_id(self) -> str:
        return self.path[0] if self.path else ""
