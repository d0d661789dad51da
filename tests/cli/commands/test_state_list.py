"""`state list` and `show` while an apply runs."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest

from tests.projects import Emulated, vm


class Looks(io.StringIO):
    """Runs a command when a text is written, and keeps its output."""

    def __init__(self, text: str, run: Callable[[], str]) -> None:
        super().__init__()
        self.text, self.run, self.seen = text, run, ""

    def write(self, text: str) -> int:
        if self.text in text and not self.seen:
            self.seen = self.run()
        return super().write(text)


@pytest.mark.parametrize("command", [("state", "list"), ("show",)], ids=" ".join)
def test_operations_of_a_running_apply_are_not_those_of_an_interrupted_one(
    world: Callable[..., Emulated], command: tuple[str, ...]
) -> None:
    emulated = world(vm())
    err = Looks("creating…", lambda: emulated.project.run(*command).out)
    assert emulated.run("apply", "--yes", err=err).code == 0
    assert "Pending operations (an apply is running):\n  VirtualMachine/trainer: " in err.seen
