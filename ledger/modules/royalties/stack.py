"""Which ancestors an asset pays, and at which rates: computed when a derivation is registered, never from the child's
word."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from ledger.errors import OperationError
from ledger.modules.assets.records import LINKS, Link
from ledger.modules.royalties.records import ANCESTORS_MAX, CAP_BPS, PARENTS_MAX, STACKS, Entry, Stack
from ledger.state.view import Readable

LINEAGE_MAX: Final = 1_024
"""Ancestors visited in search of a cycle; a larger lineage is refused."""


def merged(previous: Stack, added: Mapping[bytes, Link], view: Readable) -> Stack:
    """Return `previous` with the links `added` (parent -> link).

    Candidates are each parent with its rate, and each ancestor in the parent's stack while depth allows. An ancestor
    that is reached on several ways is charged once, with the maximum of rate, cap, least royalty and depth, each for
    itself.

    Raises:
        OperationError: `royalties.cap_exceeded` or `royalties.too_many_ancestors`.
    """
    entries = {entry.ancestor: entry for entry in previous.entries}
    for parent, link in added.items():
        for candidate in _candidates(view, parent, link):
            known = entries.get(candidate.ancestor)
            entries[candidate.ancestor] = candidate if known is None else _maximum(known, candidate)
    if len(entries) > ANCESTORS_MAX:
        raise OperationError(
            "royalties.too_many_ancestors", f"{len(entries)} paid ancestors of at most {ANCESTORS_MAX}"
        )
    total_bps = sum(entry.rate_bps for entry in entries.values())
    if total_bps > CAP_BPS:
        raise OperationError("royalties.cap_exceeded", f"ancestors would take {total_bps} of at most {CAP_BPS} bps")
    return msgspec.structs.replace(previous, entries=tuple(entries[ancestor] for ancestor in sorted(entries)))


def check_lineage(view: Readable, child: bytes, parents: Mapping[bytes, Link]) -> None:
    """Refuse links that would make `child` its own ancestor, and more than `PARENTS_MAX` of them.

    Raises:
        OperationError: `royalties.cycle`, `royalties.too_many_parents` or `royalties.lineage_too_large`.
    """
    if len(parents) > PARENTS_MAX:
        raise OperationError("royalties.too_many_parents", f"{len(parents)} parents of at most {PARENTS_MAX}")
    seen: set[bytes] = set()
    waiting = list(parents)
    while waiting:
        ancestor = waiting.pop()
        if ancestor == child:
            raise OperationError("royalties.cycle", "an asset cannot be derived from itself or its descendants")
        if ancestor in seen:
            continue
        seen.add(ancestor)
        if len(seen) > LINEAGE_MAX:
            raise OperationError("royalties.lineage_too_large", f"more than {LINEAGE_MAX} ancestors")
        waiting.extend(parent for parent, _ in LINKS.items(view, ancestor))


def _candidates(view: Readable, parent: bytes, link: Link) -> Iterator[Entry]:
    if link.depth and (link.rate_bps or link.least):
        yield Entry(parent, link.rate_bps, link.cap, link.least, link.depth)
    inherited = STACKS.get(view, parent) or Stack()
    for entry in inherited.entries:
        depth = entry.depth if link.same_organization else entry.depth - 1
        if depth >= 1:
            yield Entry(entry.ancestor, entry.rate_bps, entry.cap, entry.least, depth)


def _maximum(known: Entry, candidate: Entry) -> Entry:
    return msgspec.structs.replace(
        known,
        rate_bps=max(known.rate_bps, candidate.rate_bps),
        cap=None if known.cap is None or candidate.cap is None else max(known.cap, candidate.cap),
        least=max(known.least, candidate.least),
        depth=max(known.depth, candidate.depth),
    )
