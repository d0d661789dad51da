"""A request to the GPU node with its caller, already validated by the client node."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from msgspec import Struct, field


class Caller(Protocol):
    """An authorised caller. `role`: wallet, session or verifier; `rent_order`: as sent, may be empty."""

    @property
    def wallet(self) -> str: ...
    @property
    def role(self) -> str: ...
    @property
    def rent_order(self) -> str: ...


class NodeRequest(Struct, frozen=True):
    """A request. `path`: segments after the operation; `additional`: the parsed JSON object.

    `image_server`: its id if the client node resolved one; empty otherwise. Texts of the query are raw.
    `breaks`: part of the file after which the transfer started by it is interrupted.
    """

    path: tuple[str, ...] = ()
    query: Mapping[str, str] = field(default_factory=dict)
    additional: Mapping[str, object] = field(default_factory=dict)
    image_server: str = ""
    breaks: float = 1.0

    @property
    def task_id(self) -> str:
        return self.path[0] if self.path else ""
