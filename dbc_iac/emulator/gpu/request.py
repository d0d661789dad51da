"""A request as the GPU node gets it, and who may send which. The client node has done its own checks before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class NodeRequest:
    """`path`: segments after the operation's own. `additional`: the JSON object as parsed.

    `image_server`: the centre's id when the client node resolved one; empty otherwise. Texts of the query are raw.
    """

    path: tuple[str, ...] = ()
    query: Mapping[str, str] = field(default_factory=dict)
    additional: Mapping[str, object] = field(default_factory=dict)
    image_server: str = ""

    @property
    def task_id(self) -> str:
        return self.path[0] if self.path else ""
