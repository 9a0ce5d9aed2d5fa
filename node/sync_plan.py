"""Which heights nobody has been asked for yet, on the way from the head to the target."""

from __future__ import annotations

from bisect import insort


class Plan:
    """Ranges are taken from below. What comes back, unanswered, is taken again before anything higher."""

    def __init__(self) -> None:
        self._returned: list[tuple[int, int]] = []
        """(first, last) in order, of what was taken and came back: no more of them than requests are under way."""
        self._top = 0
        """Everything up to here has been taken once."""

    def first(self, height: int, target: int) -> int | None:
        """Return the lowest height above `height` that nobody has been asked for; None where there is none."""
        self._returned = [(max(first, height + 1), last) for first, last in self._returned if last > height]
        if self._returned:
            return self._returned[0][0]
        following = max(self._top, height) + 1
        return following if following <= target else None

    def take(self, height: int, target: int, span: int) -> tuple[int, int]:
        """Take up to `span` heights from `first` on, which must not be None; return (first, last)."""
        first = self.first(height, target)
        assert first is not None
        if self._returned:
            _, end = self._returned.pop(0)
            last = min(end, first + span - 1)
            if last < end:
                self._returned.insert(0, (last + 1, end))
        else:
            last = self._top = min(target, first + span - 1)
        return first, last

    def give_back(self, first: int, last: int) -> None:
        """These heights did not come."""
        if first <= last:
            insort(self._returned, (first, last))

    def restart(self) -> None:
        self._returned, self._top = [], 0
