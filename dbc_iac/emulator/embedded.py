"""An emulated network inside a program: for tests of projects, and of programs that use the public API."""

from __future__ import annotations

from collections.abc import Coroutine
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from dbc_iac.emulator.network import Network
from dbc_iac.emulator.virtual_clock import close_loop, virtual_loop
from dbc_iac.emulator.world import WorldSpec, load_world

T = TypeVar("T")


class EmbeddedNetwork:
    """An emulated network with an event loop on a virtual clock: waits take no time. A context manager.

    `run` drives coroutines on the loop; `network.transport` replaces the sockets; `network.truth()` is the actual state
    of all nodes, by node id.
    """

    def __init__(self, world: Path | str | WorldSpec) -> None:
        """`world`: a description, or the path of its file. Raises OSError, ValueError."""
        self.network = Network(world if isinstance(world, WorldSpec) else load_world(Path(world)))
        self._loop = virtual_loop()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end."""
        return self._loop.run_until_complete(coroutine)

    def __enter__(self) -> EmbeddedNetwork:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        close_loop(self._loop)
