"""What is held of an artifact, what is still wanted, and which block may come next.

The registered root and size are all that is known at first. Blocks are taken top-down: one only if a held, checked
parent links to it, and only if it is what the profile allows there. The profile fixes a file's graph by its size, so
a manifest that overlaps, lies about sizes, is too deep or claims 10^9 chunks is refused at its first wrong node,
before anything below it is asked for. A cycle would need a hash to contain itself; as the same block may be linked
often, all counting is done once a block (never once a path). Nothing here reads a clock, a disk or a network: the
store is a port.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple, Protocol

from artifacts import cid as cids
from artifacts import hamt, nodes
from artifacts.cid import Codec
from artifacts.dag_pb import Link
from artifacts.errors import ChunkDamaged, ChunkMissing, ManifestRefused
from artifacts.hamt import ShardNode
from artifacts.nodes import ARTIFACT_BYTES_MAX, CHUNK_BYTES, DIRECTORY_DEPTH_MAX, ENTRIES_MAX, DirectoryNode, FileNode

MISSING_MAX: Final = 1_024
"""CIDs that `missing` returns at once; ask again when these are held."""
_DIRECTORY: Final = -1
"""Stands for a depth where the block is a directory."""
_SHARD: Final = -2
"""Stands for a depth where the block is a shard of a directory, its root included."""


class BlockStore(Protocol):
    """What the walk needs of a chunk store."""

    def block_bytes(self, cid: str) -> int | None:
        """The size of a held block without reading it; None when it is not held."""
        ...

    def get(self, cid: str) -> bytes:
        """Return the block, verified; raises `ChunkMissing` or `ChunkDamaged`."""
        ...


class Claim(NamedTuple):
    """What the graph says about a block. It follows from the block's content, so two places may not disagree."""

    tsize: int | None
    """Bytes of this block and of those below, as the parent says; None at the root."""
    size_bytes: int | None
    """Content bytes below; None where only the block itself can tell."""
    depth: int | None
    """Levels above the leaves of a file, _DIRECTORY or _SHARD for a directory, None where only the block can tell."""
    path: bytes | None = None
    """Slots from the root of its directory, where the block is a shard: the names in it hash to them."""
    level: int = 0
    """Directories above, on the path on which it was first found."""
    parent: str = ""
    """The block in which it was first found; empty for the root."""

    def contradicts(self, other: Claim) -> bool:
        """Tell whether no block can be both."""
        pairs = zip(self[:4], other[:4], strict=True)
        return any(a is not None and b is not None and a != b for a, b in pairs)

    def joined(self, other: Claim) -> Claim:
        """What both say together; they do not contradict each other."""
        tsize = self.tsize if self.tsize is not None else other.tsize
        size_bytes = self.size_bytes if self.size_bytes is not None else other.size_bytes
        depth = self.depth if self.depth is not None else other.depth
        path = self.path if self.path is not None else other.path
        return Claim(tsize, size_bytes, depth, path, self.level, self.parent)


Children = list[tuple[str, Claim]]


class Holding:
    """The part of one artifact that is held: built from the store, kept up to date by `add`."""

    def __init__(self, root: str, size_bytes: int, store: BlockStore) -> None:
        """Walk what `store` holds below `root`; its inner blocks are read, of its leaves only the size.

        Raises:
            InvalidCid: `root` is not a CID.
            InvalidBlock, UnsupportedArtifact, ManifestRefused: the size or a held node is refused.
            ChunkStoreFailure: from the store. Damaged blocks count as missing.
        """
        check_claim(root, size_bytes)
        self.root = root
        self.size_bytes = size_bytes
        self._store = store
        self._claims: dict[str, Claim] = {}
        self._wanted: dict[str, None] = {}
        """Missing blocks in the order in which they were found, so parents before children."""
        self._children: dict[str, tuple[str, ...]] = {}
        """Held inner block -> what it links to, in the order of its links."""
        self._entries = 0
        self._shards = 0
        self._note([(root, Claim(None, *_raw_facts(root, size_bytes)))])

    @property
    def complete(self) -> bool:
        """Whether every block is held (and, for a directory, its files sum to the registered size)."""
        return not self._wanted

    @property
    def blocks_held(self) -> int:
        """Distinct blocks of the artifact that are held."""
        return len(self._claims) - len(self._wanted)

    def missing(self, limit: int = MISSING_MAX) -> list[str]:
        """The first `limit` blocks that may be accepted now, parents before children; empty when complete."""
        return [cid for cid, _ in zip(self._wanted, range(limit), strict=False)]

    def accepts(self, cid: str) -> bool:
        """Tell whether `cid` is missing and linked from a held, checked part."""
        return cid in self._wanted

    def holds(self, cid: str) -> bool:
        """Tell whether `cid` is a held block of this artifact."""
        return cid in self._claims and cid not in self._wanted

    def children(self, cid: str) -> tuple[str, ...] | None:
        """What a held inner block links to, in the order of its links; None for a leaf and for what is not held."""
        return self._children.get(cid)

    def inner_blocks(self) -> Iterable[str]:
        """The held inner blocks, parents before children."""
        return self._children

    def held_blocks(self) -> Iterable[str]:
        """The held blocks of the artifact."""
        return (cid for cid in self._claims if cid not in self._wanted)

    def parent(self, cid: str) -> str | None:
        """The inner block in which a block was first found; None for the root and for what nothing held links to."""
        claim = self._claims.get(cid)
        return claim.parent or None if claim is not None else None

    def check(self, cid: str, data: bytes) -> None:
        """Check a block before it is stored; changes nothing.

        Raises:
            InvalidCid, BlockMismatch: the bytes are not the block `cid`.
            InvalidBlock, UnsupportedArtifact, ManifestRefused: not wanted, or not a block that may stand there.
        """
        if cid not in self._wanted:
            raise ManifestRefused("manifest.not_linked", f"no held part of {self.root} wants {cid}")
        cids.check_block(cid, data)
        self._expand(cid, len(data), data)

    def add(self, cid: str, data: bytes) -> None:
        """Note a block that the store now holds: call `check`, the store's `put`, then this. Raises as `check` does."""
        self.check(cid, data)
        del self._wanted[cid]
        self._note(self._settle(cid, len(data), data))

    def _note(self, found: Children) -> None:
        """Take in claims; follow those whose blocks are held."""
        queue = found[::-1]
        while queue:
            cid, claim = queue.pop()
            known = self._claims.get(cid)
            if known is not None:
                # Not every pair was visible when the parent was checked: claims of one parent may name a block twice.
                _refuse_contradiction(cid, known, claim)
                self._claims[cid] = known.joined(claim)
                continue
            self._claims[cid] = claim
            block_bytes = self._store.block_bytes(cid)
            data = b"" if block_bytes is None or claim.depth == 0 else self._read(cid)
            if block_bytes is None or data is None:
                self._wanted[cid] = None
            else:
                queue += self._settle(cid, block_bytes, data)[::-1]
        if not self._wanted:
            self._check_totals()

    def _read(self, cid: str) -> bytes | None:
        try:
            return self._store.get(cid)
        except (ChunkMissing, ChunkDamaged):
            return None

    def _settle(self, cid: str, block_bytes: int, data: bytes) -> Children:
        claim, children = self._expand(cid, block_bytes, data)
        self._claims[cid] = claim
        if claim.depth != 0:
            self._children[cid] = tuple(child for child, _ in children)
        if claim.depth in (_DIRECTORY, _SHARD):
            shards = sum(1 for _, said in children if said.path is not None)
            self._entries += len(children) - shards
            self._shards += shards
        return children

    def _expand(self, cid: str, block_bytes: int, data: bytes) -> tuple[Claim, Children]:
        """Compare a block with the claim about it; return what is known now, and the claims about its children."""
        claim = self._claims[cid]
        if claim.depth == 0:
            if block_bytes != claim.size_bytes:
                raise ManifestRefused("manifest.size", f"the leaf {cid} does not have {claim.size_bytes} bytes")
            return claim, []
        node = nodes.decode(data)
        if claim.tsize not in (None, block_bytes + sum(link.tsize for link in node.links)):
            raise ManifestRefused("manifest.tsize", f"the blocks from {cid} down do not have {claim.tsize} bytes")
        if isinstance(node, FileNode):
            claim, children = self._expand_file(cid, claim, node)
        elif isinstance(node, ShardNode):
            claim, children = self._expand_shard(cid, claim, node)
        else:
            claim, children = self._expand_directory(cid, claim, node)
        for child, said in children:
            known = self._claims.get(child)
            if known is not None:
                _refuse_contradiction(child, known, said)
        return claim, children

    def _expand_file(self, cid: str, claim: Claim, node: FileNode) -> tuple[Claim, Children]:
        if cid == self.root or claim.size_bytes is None:
            limit = self.size_bytes
            if (node.size_bytes != limit and cid == self.root) or not CHUNK_BYTES < node.size_bytes <= limit:
                raise ManifestRefused("manifest.size", f"a file of {node.size_bytes} bytes in {limit} registered bytes")
        size_bytes = node.size_bytes if claim.size_bytes is None else claim.size_bytes
        depth = nodes.depth_of(size_bytes) if claim.depth is None else claim.depth
        nodes.check_file_node(node, size_bytes, depth)
        children = []
        for link, size in zip(node.links, node.child_sizes, strict=True):
            if depth == 1 and link.tsize != size:
                raise ManifestRefused("manifest.tsize", "a link to a leaf does not state the leaf's size")
            said = Claim(link.tsize, size, depth - 1, None, claim.level, cid)
            children.append((cids.from_bytes(link.cid), said))
        return claim.joined(Claim(None, size_bytes, depth)), children

    def _expand_directory(self, cid: str, claim: Claim, node: DirectoryNode) -> tuple[Claim, Children]:
        if claim.contradicts(Claim(None, None, _DIRECTORY)):
            raise ManifestRefused("manifest.shape", "a directory lies inside a file, or where a shard belongs")
        self._check_bounds(claim, node.links, shards=0)
        return claim._replace(depth=_DIRECTORY), [self._entry(cid, claim, link) for link in node.links]

    def _expand_shard(self, cid: str, claim: Claim, node: ShardNode) -> tuple[Claim, Children]:
        if claim.contradicts(Claim(None, None, _SHARD)):
            raise ManifestRefused("manifest.shape", "a sharded directory lies inside a file")
        path = claim.path or b""
        hamt.check_place(node, path)
        self._check_bounds(claim, node.links, shards=sum(map(hamt.is_shard_link, node.links)))
        children = []
        for link in node.links:
            if hamt.is_shard_link(link):
                below = path + bytes([hamt.slot_of(link)])
                said = Claim(link.tsize, None, _SHARD, below, claim.level, cid)
                children.append((cids.from_bytes(link.cid), said))
            else:
                children.append(self._entry(cid, claim, link))
        return claim._replace(depth=_SHARD, path=path), children

    def _entry(self, cid: str, claim: Claim, link: Link) -> tuple[str, Claim]:
        child = cids.from_bytes(link.cid)
        return child, Claim(link.tsize, *_raw_facts(child, link.tsize), None, claim.level + 1, cid)

    def _check_bounds(self, claim: Claim, links: Sequence[Link], *, shards: int) -> None:
        entries = self._entries + len(links) - shards
        if claim.level > DIRECTORY_DEPTH_MAX or max(entries, self._shards + shards) > ENTRIES_MAX:
            raise ManifestRefused("manifest.entries", "the directory is too deep or has too many entries")
        # Tsize also counts nodes: 1/512 for those of files, 512 bytes an entry of a directory are more than enough.
        if sum(link.tsize for link in links) > self.size_bytes + self.size_bytes // 512 + 512 * ENTRIES_MAX:
            raise ManifestRefused("manifest.size", "a directory's entries exceed the registered size")

    def _check_totals(self) -> None:
        """Sum a complete directory once a block, however often each is linked."""
        if self._claims[self.root].depth not in (_DIRECTORY, _SHARD):
            return
        size_bytes, _, _ = self._totals(self.root, {})
        if size_bytes != self.size_bytes:
            raise ManifestRefused("manifest.size", f"the files have {size_bytes} bytes, not {self.size_bytes}")

    def _totals(self, cid: str, memo: dict[str, tuple[int, int, int]]) -> tuple[int, int, int]:
        """(content bytes, entries, levels of directories) at and below `cid`; recursion ends at the bound of levels."""
        if cid in memo:
            return memo[cid]
        claim = self._claims[cid]
        if claim.depth not in (_DIRECTORY, _SHARD):
            return claim.size_bytes or 0, 1, 0
        # A shard below the root of its directory is neither an entry nor a level of its own.
        own = 0 if claim.path else 1
        size_bytes, entries, height = 0, own, own
        for child in self._children[cid]:
            below = self._totals(child, memo)
            size_bytes, entries, height = size_bytes + below[0], entries + below[1], max(height, below[2] + own)
            if entries > ENTRIES_MAX or height > DIRECTORY_DEPTH_MAX + 1:
                raise ManifestRefused("manifest.entries", "the directory is too deep or has too many entries")
        memo[cid] = size_bytes, entries, height
        return memo[cid]


def check_claim(root: str, size_bytes: int) -> None:
    """Check what a registration says, before anything is fetched.

    Raises:
        InvalidCid: `root` is not a CID.
        ManifestRefused: no artifact of the profile has this root and size.
    """
    parsed = cids.parse(root)
    if not 0 <= size_bytes <= ARTIFACT_BYTES_MAX:
        raise ManifestRefused("manifest.size", f"an artifact has 0 to {ARTIFACT_BYTES_MAX} bytes, not {size_bytes}")
    if parsed.codec is Codec.RAW and size_bytes > CHUNK_BYTES:
        raise ManifestRefused("manifest.size", f"a single leaf has at most {CHUNK_BYTES} bytes, not {size_bytes}")


def missing(root: str, size_bytes: int, store: BlockStore, limit: int = MISSING_MAX) -> list[str]:
    """What is wanted next, from a fresh walk; see `Holding`."""
    return Holding(root, size_bytes, store).missing(limit)


def complete(root: str, size_bytes: int, store: BlockStore) -> bool:
    """Whether all of it is held, from a fresh walk; see `Holding`."""
    return Holding(root, size_bytes, store).complete


def accepts(root: str, size_bytes: int, cid: str, store: BlockStore) -> bool:
    """Whether `cid` is missing and linked from a held part, from a fresh walk; see `Holding`."""
    return Holding(root, size_bytes, store).accepts(cid)


def _raw_facts(cid: str, size_bytes: int) -> tuple[int | None, int | None]:
    """(content bytes, depth) of a file or directory that begins at `cid`: a raw leaf's are known from its link."""
    if cids.parse(cid).codec is Codec.DAG_PB:
        return None, None
    if size_bytes > CHUNK_BYTES:
        raise ManifestRefused("manifest.size", f"a leaf has at most {CHUNK_BYTES} bytes, not {size_bytes}")
    return size_bytes, 0


def _refuse_contradiction(cid: str, known: Claim, said: Claim) -> None:
    if known.contradicts(said):
        raise ManifestRefused("manifest.contradiction", f"two places of the graph disagree about {cid}")
