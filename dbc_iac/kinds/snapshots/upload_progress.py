"""Observed progress of an upload: the only evidence of its success. Pure.

No API shows the size that an uploaded file must have, and status `done` follows an interruption as well: a restart of
the node's process leaves a part of the file under its final name. Only a watch from start to end shows that it is
complete. What happens between two looks remains unseen: the looks follow one another closely when the end is near, and
an end that was not seen closely is reported as not verified.
"""

from __future__ import annotations

from itertools import pairwise

from msgspec import Struct
from msgspec.structs import replace

SPREAD = 1.5
"""Factor by which an upload may have been faster between two looks than it was ever observed to be."""
QUICK = 10.0
"""The same for an upload that was observed once, whose speed is measured from the last look before its start."""
ROUNDED = 2
"""Percent that the node's rounding hides."""
CLOSE, NEARLY = 4.0, 90
"""Seconds between the last look and the end of a verified upload, and the percent that the look must have shown.
Meanwhile neither the node nor the image server restarts unnoticed."""
SOON, BEGINNING = 20.0, 30.0
"""Seconds before its expected end, and after its start while its speed is unknown, in which an upload is watched
closely."""


class UploadProgress(Struct, frozen=True):
    """The looks at one upload. Times in seconds of one clock; `seen` with percent; `before`: last before its start.

    `blind`: a later look had no answer, as during a restart of the node's process.
    """

    before: float | None = None
    seen: tuple[tuple[float, int], ...] = ()
    blind: bool = False

    def not_started(self, now: float) -> UploadProgress:
        return UploadProgress(before=now)

    def at(self, now: float, percent: int) -> UploadProgress:
        return replace(self, seen=(*self.seen, (now, percent)), blind=False)

    def missed(self) -> UploadProgress:
        return replace(self, blind=True)

    @property
    def percent(self) -> int:
        """Percent at the last look."""
        return self.seen[-1][1] if self.seen else 0

    def whole(self, now: float) -> bool:
        """Whether it can have been complete at its end."""
        if self.blind:
            return False
        if not self.seen:
            return self.before is not None
        furthest = max(percent for _, percent in self.seen)
        if self.percent < furthest:  # near the end the node shows less again: the file has its final name by then
            return True
        return self.percent + self._speed() * (now - self.seen[-1][0]) + ROUNDED >= 100

    def verified(self, now: float) -> bool:
        """Whether its end was seen, or so nearly that only an interruption within seconds could be unnoticed."""
        if not self.whole(now) or not self.seen:
            return False
        at, percent = self.seen[-1]
        if percent < max(percent for _, percent in self.seen):
            return True
        nearly = percent + ROUNDED >= 100 or (percent >= NEARLY and now - at <= CLOSE)
        return nearly and self._missing(now) <= CLOSE

    def ends_soon(self, now: float) -> bool:
        """Whether its end is near, or may be: its speed is not known yet."""
        if len(self.seen) < 2:
            since = self.before if self.before is not None else self.seen[0][0] if self.seen else now
            return now - since <= BEGINNING
        return (100 - self.percent) <= max(ROUNDED, self._speed() * SOON)

    def _missing(self, now: float) -> float:
        """Seconds by which it ended sooner than at its mean speed: the last percent of a large file takes minutes."""
        reached = next(at for at, percent in self.seen if percent == self.percent)
        start, percent = self.seen[0]
        if percent == self.percent:
            return 0.0
        return (100 - self.percent) * (reached - start) / (self.percent - percent) - (now - reached)

    def _speed(self) -> float:
        """Percent per second that it may have made since the last look."""
        between = [(p - q) / (t - s) for (s, q), (t, p) in pairwise(self.seen) if t > s]
        if between:
            return max(between) * SPREAD
        first, percent = self.seen[0]
        return QUICK * percent / (first - self.before) if self.before is not None and first > self.before else 0.0
