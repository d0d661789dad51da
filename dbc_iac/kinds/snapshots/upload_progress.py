"""What was seen of an upload while it went on: the only evidence of how it ended. Pure.

No API tells the size of what is uploaded, and "done" follows an interruption as well: a restart of the node's process
leaves a part of the file under its final name. Whoever watched from beginning to end can tell; nobody else.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

SPREAD = 1.5
"""How much faster than it ever was seen an upload may have gone when nobody looked."""
QUICK = 10.0
"""The same where it was seen only once, and its speed is known only from when it had not begun yet."""
ROUNDED = 2
"""Percent that the node's rounding hides."""


@dataclass(frozen=True, slots=True)
class UploadProgress:
    """The looks at one upload. Times in seconds of one clock, `seen` with percent; `before`: it had not begun yet.

    `blind`: since then a look had no answer, as while a node's process is started again.
    """

    before: float | None = None
    seen: tuple[tuple[float, int], ...] = ()
    blind: bool = False

    def not_begun(self, now: float) -> UploadProgress:
        return UploadProgress(before=now)

    def at(self, now: float, percent: int) -> UploadProgress:
        return replace(self, seen=(*self.seen, (now, percent)), blind=False)

    def missed(self) -> UploadProgress:
        return replace(self, blind=True)

    @property
    def percent(self) -> int:
        """How far it was when it was seen last."""
        return self.seen[-1][1] if self.seen else 0

    def whole(self, now: float) -> bool:
        """Whether it can have been complete when it was seen to have ended."""
        if self.blind:
            return False
        if not self.seen:
            return self.before is not None
        furthest = max(percent for _, percent in self.seen)
        if self.percent < furthest:  # near the end the node shows less again: the file has its final name by then
            return True
        return self.percent + self._speed() * (now - self.seen[-1][0]) + ROUNDED >= 100

    def _speed(self) -> float:
        """Percent a second that it may have gone since it was seen last."""
        between = [(p - q) / (t - s) for (s, q), (t, p) in pairwise(self.seen) if t > s]
        if between:
            return max(between) * SPREAD
        first, percent = self.seen[0]
        return QUICK * percent / (first - self.before) if self.before is not None and first > self.before else 0.0
