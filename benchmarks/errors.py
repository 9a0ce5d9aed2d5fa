"""What cannot be measured, and why."""

from __future__ import annotations

from guildmark.errors import GuildmarkError


class BenchError(GuildmarkError):
    """A measurement, sweep, plot or comparison that cannot be made as asked. Codes are stable: `subject.reason`.

    A run that was made and does not count is no exception: it is a `Result` with `errors`.
    """
