"""The lineage of an asset as a graph: from what it derives, and what derives from it, as far as is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from ledger.errors import LedgerError
from ledger.modules import texts
from ledger.modules.assets.named import named_asset
from ledger.modules.assets.reads import children, contributors_of, links
from ledger.modules.assets.records import ASSETS
from ledger.modules.fields import Result
from ledger.state.view import Readable
from primitives.identifiers import account_to_text

DEPTH_MAX: Final = 8
NODES_MAX: Final = 1_000
DIRECTIONS: Final = ("up", "down", "both")

_Relatives = Callable[[Readable, bytes], Iterable[bytes]]


class NodeResult(Result, frozen=True):
    asset: str
    name: str
    kind: str
    organization: str
    retired: bool
    contributors: tuple[str, ...]
    """Accounts whose contributions became versions, as `assets.get` tells them."""
    distance: int
    """Generations on the shortest way: below 0 for ancestors, above 0 for descendants, 0 for the asset itself."""


class EdgeResult(Result, frozen=True):
    parent: str
    child: str
    right: str
    rate_bps: int
    """Of what is paid for the child, as the link says; what it pays in fact: `royalties.stack`."""
    version: int
    """The child's version that brought the link."""


class LineageResult(Result, frozen=True):
    asset: str
    direction: str
    depth: int
    nodes: tuple[NodeResult, ...]
    """In order of distance and id."""
    edges: tuple[EdgeResult, ...]
    """Every link between two of the nodes, in order of child and parent."""
    truncated: bool
    """There are more within `depth`: the nearest `NODES_MAX` are told."""


def get_lineage(
    view: Readable,
    _network_id: bytes,
    _block_time_ms: int,
    *,
    asset: str,
    direction: str = "both",
    depth: int | str = DEPTH_MAX,
) -> LineageResult:
    """What an asset derives from (`up`), what derives from it (`down`), or `both`, up to 8 generations each way."""
    origin, _ = named_asset(view, asset)
    if direction not in DIRECTIONS:
        raise LedgerError("query.argument", f"no direction {direction[:80]!r}; there are {', '.join(DIRECTIONS)}")
    generations = texts.number(depth)
    if not 1 <= generations <= DEPTH_MAX:
        raise LedgerError("query.argument", f"depth: from 1 to {DEPTH_MAX}")
    distances, truncated = _nearest(view, origin, _ways(direction), generations)
    order = sorted(distances, key=lambda node: (distances[node], node))
    return LineageResult(
        asset=asset,
        direction=direction,
        depth=generations,
        nodes=tuple(_node(view, node, distances[node]) for node in order),
        edges=tuple(edge for node in sorted(distances) for edge in _edges(view, node, distances)),
        truncated=truncated,
    )


def _ways(direction: str) -> list[tuple[int, _Relatives]]:
    """Return (sign of the distance, relatives one generation on) of each way to go."""
    up: tuple[int, _Relatives] = (-1, links)
    down: tuple[int, _Relatives] = (1, children)
    return {"up": [up], "down": [down]}.get(direction, [up, down])


def _nearest(
    view: Readable, origin: bytes, ways: list[tuple[int, _Relatives]], generations: int
) -> tuple[dict[bytes, int], bool]:
    """Return asset -> distance, generation by generation on every way at once, and whether some had no room."""
    distances = {origin: 0}
    fronts = [(sign, relatives, [origin]) for sign, relatives in ways]
    for generation in range(1, generations + 1):
        further = []
        for sign, relatives, front in fronts:
            found: list[bytes] = []
            for node in front:
                for relative in relatives(view, node):
                    if relative in distances:
                        continue
                    if len(distances) == NODES_MAX:
                        return distances, True
                    distances[relative] = sign * generation
                    found.append(relative)
            further.append((sign, relatives, found))
        fronts = further
    return distances, False


def _node(view: Readable, asset: bytes, distance: int) -> NodeResult:
    record = ASSETS.get(view, asset)
    assert record is not None  # a link names it
    made = tuple(account_to_text(account) for account in contributors_of(view, asset))
    return NodeResult(asset.hex(), record.name, record.kind, record.organization, record.retired, made, distance)


def _edges(view: Readable, child: bytes, nodes: dict[bytes, int]) -> list[EdgeResult]:
    return [
        EdgeResult(parent.hex(), child.hex(), link.right, link.rate_bps, link.version)
        for parent, link in links(view, child).items()
        if parent in nodes
    ]
