"""What becomes of the words about our retries: a line at level debug for `logging`, and nothing on anybody's output.

`stamina` tells its hooks of every retry, and where a program sets none, they write to its standard output. Hooks belong
to the whole process, so ours are told apart by their cause; those of other users of the library go on as they were.
"""

from __future__ import annotations

import functools
import logging
from contextlib import AbstractContextManager
from typing import Final

import stamina.instrumentation
from stamina.instrumentation import RetryDetails, RetryHook

from guildmark.errors import Unreachable

_log: Final = logging.getLogger("guildmark")


@functools.lru_cache(maxsize=1)
def hush() -> None:
    """Take our retries from the hooks that are set now. Called when the first one is at hand: hooks cost imports."""
    others = stamina.instrumentation.get_on_retry_hooks()
    stamina.instrumentation.set_on_retry_hooks([_note, *map(_without_ours, others)])


def _note(details: RetryDetails) -> None:
    if isinstance(details.caused_by, Unreachable):
        _log.debug("retry %d in %.2f s: %s", details.retry_num, details.wait_for, details.caused_by)


def _without_ours(hook: RetryHook) -> RetryHook:
    def filtered(details: RetryDetails) -> AbstractContextManager[None] | None:
        return None if isinstance(details.caused_by, Unreachable) else hook(details)

    return filtered
