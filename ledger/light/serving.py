"""What a chain shows to light clients: certified headers with their sets, and the ends of epochs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ledger import epochs
from ledger.block import Header
from ledger.errors import LedgerError
from ledger.light.blocks import TRAIL_MAX, LightBlock
from ledger.validators import ValidatorSet, validator_set
from primitives.finality import FinalityCertificate

if TYPE_CHECKING:
    from ledger.chain import Chain


def light_block(chain: Chain, height: int) -> LightBlock:
    """Return the block of `height` with the first certificate from it on.

    Raises:
        LedgerError: as `sealed`.
    """
    header, trail, finality = sealed(chain, height)
    return LightBlock(header, trail, finality, members_of(chain, header.epoch))


def epoch_end(chain: Chain, epoch: int) -> LightBlock:
    """Return the last block of an epoch that has ended.

    Raises:
        LedgerError: `query.not_found` while it has not; else as `light_block`.
    """
    height = epochs.last_height(chain.view(), epoch) if 0 <= epoch <= chain.head.epoch else None
    if height is None:
        raise LedgerError("query.not_found", f"epoch {epoch} has not ended")
    return light_block(chain, height)


def sealed(chain: Chain, height: int) -> tuple[Header, tuple[Header, ...], FinalityCertificate]:
    """Return a header, the headers up to the first certificate from it on, and that.

    Raises:
        LedgerError: `query.not_found` for a height without a block here; `certificate.pending` while no certificate
            covers it; `certificate.trail` when that is too far above.
    """
    header = chain.header(height)
    if header is None:
        raise LedgerError("query.not_found", f"there is no block {height} here")
    trail: list[Header] = []
    while (finality := chain.certificate(height + len(trail))) is None:
        after = chain.header(height + len(trail) + 1)
        if after is None or after.epoch != header.epoch:
            raise LedgerError("certificate.pending", f"block {height} is not certified yet; try again at once")
        if len(trail) == TRAIL_MAX:
            raise LedgerError("certificate.trail", f"no certificate within {TRAIL_MAX} blocks of block {height}")
        trail.append(after)
    return header, tuple(trail), finality


def members_of(chain: Chain, epoch: int) -> ValidatorSet:
    """Return the set of an epoch that has begun."""
    members = validator_set(chain.view(), epoch)
    assert members is not None, "every epoch begins with its set"
    return members
