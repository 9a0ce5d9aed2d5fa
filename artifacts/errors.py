"""What can be wrong with an artifact, its blocks or the store that holds them.

    ArtifactError
    ├── InvalidCid            a text that is not a CID of the supported kind in its one spelling
    ├── InvalidBlock          bytes that are not a canonical block of the profile
    ├── BlockMismatch         bytes that do not hash to the CID they came under
    ├── UnsupportedArtifact   valid elsewhere, not in this version (symbolic links)
    ├── ManifestRefused       the graph below a root contradicts its registered size, its own sizes or our bounds
    ├── ArtifactTakenDown     nobody serves, fetches or keeps it any more, by decision of the consortium
    ├── ChunkStoreError
    │   ├── ChunkMissing      not held
    │   ├── ChunkDamaged      held, but no longer the bytes that were stored; moved to quarantine
    │   ├── ChunkTooLarge     above BLOCK_BYTES_MAX
    │   ├── ChunkStoreFull    the disk or the configured capacity is exhausted
    │   └── ChunkStoreFailure the file system refused; nothing may be assumed about the write
    └── InvalidModelFile      a model archive that cannot be indexed safely

Codes are stable and part of the HTTP interface. Our own broken invariants are assertions, never these.
"""

from __future__ import annotations


class ArtifactError(Exception):
    """Root of the errors of this room; `code` is stable, `message` is for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class InvalidCid(ArtifactError):
    def __init__(self, message: str) -> None:
        super().__init__("cid.invalid", message)


class InvalidBlock(ArtifactError):
    def __init__(self, message: str) -> None:
        super().__init__("block.invalid", message)


class BlockMismatch(ArtifactError):
    def __init__(self, cid: str) -> None:
        super().__init__("block.mismatch", f"the bytes do not hash to {cid}")
        self.cid = cid


class UnsupportedArtifact(ArtifactError):
    pass


class ManifestRefused(ArtifactError):
    pass


class ArtifactTakenDown(ArtifactError):
    def __init__(self, root: str) -> None:
        super().__init__("artifact.taken_down", f"the consortium has taken {root} down: see assets.takedowns")


class ChunkStoreError(ArtifactError):
    pass


class ChunkMissing(ChunkStoreError):
    def __init__(self, cid: str) -> None:
        super().__init__("chunk.missing", f"no block {cid} is held")
        self.cid = cid


class ChunkDamaged(ChunkStoreError):
    def __init__(self, cid: str) -> None:
        super().__init__("chunk.damaged", f"the stored block {cid} is damaged and was moved to quarantine")
        self.cid = cid


class ChunkTooLarge(ChunkStoreError):
    def __init__(self, size_bytes: int, size_bytes_max: int) -> None:
        super().__init__("chunk.too_large", f"a block has at most {size_bytes_max} bytes, not {size_bytes}")


class ChunkStoreFull(ChunkStoreError):
    def __init__(self, message: str) -> None:
        super().__init__("chunk_store.full", message)


class ChunkStoreFailure(ChunkStoreError):
    def __init__(self, message: str) -> None:
        super().__init__("chunk_store.failed", message)


class InvalidModelFile(ArtifactError):
    pass
