"""What follows from what is trusted: the one decision of a light client. Pure.

A block is trusted when one of these holds, from a trusted block below it:

- it is of the same epoch, and a quorum of that epoch's set certified it (sequential);
- the trusted block ended its epoch and named the set that certified it (a step from epoch to epoch);
- a quorum of its own set certified it, and among the signers are more of the *trusted* set than may be faulty (a skip):
  then one correct member of the trusted set vouches for it, however many epochs lie between. The rule of skipping
  verification in Tendermint's light client, with counts in place of voting power, since every validator has one vote.
"""

from __future__ import annotations

from typing import TypeAlias

from ledger.errors import InvalidProof
from ledger.light.blocks import GenesisPoint, LightBlock
from primitives.quorum import weak_quorum

Trusted: TypeAlias = GenesisPoint | LightBlock


def follows(trusted: Trusted, block: LightBlock, network_id: bytes) -> bool:
    """Tell whether `block`, above `trusted`, is to be trusted too; False asks for a block between them.

    Signatures are checked last, and only of what is then accepted.

    Raises:
        InvalidProof: `light.*` for what contradicts the trusted block, else as `LightBlock.check`.
    """
    assert block.height > trusted.height
    if block.time_ms <= trusted.time_ms:
        raise InvalidProof("light.time", f"block {block.height} is no later than block {trusted.height} below it")
    if not (_is_linked(trusted, block) or _overlaps(trusted, block)):
        return False
    hashed = trusted.hash()
    if block.height == trusted.height + 1 and hashed not in (None, block.header.parent_hash):
        raise InvalidProof("light.parent", f"block {block.height} is not on top of block {trusted.height}")
    block.check(network_id)
    return True


def _is_linked(trusted: Trusted, block: LightBlock) -> bool:
    """Tell whether the trusted block itself says whose signatures count for `block`.

    Raises:
        InvalidProof: `light.epoch`, `light.set`.
    """
    end = trusted.epoch_end
    beyond = end != 0 and block.height > end
    if block.epoch < trusted.epoch or (end and beyond != (block.epoch > trusted.epoch)):
        raise InvalidProof("light.epoch", f"block {block.height} cannot be of epoch {block.epoch}")
    if block.epoch == trusted.epoch:
        if end and block.epoch_end != end:
            raise InvalidProof("light.epoch", f"epoch {block.epoch} ends at {end}, not {block.epoch_end}")
        named: bytes | None = trusted.members.hash()
    elif block.epoch == trusted.epoch + 1 and end and end == trusted.height:
        named = trusted.next_set_hash
    else:
        return False
    if named != block.header.validator_set_hash:
        raise InvalidProof("light.set", f"epoch {block.epoch} has another validator set than block {block.height} says")
    return True


def _overlaps(trusted: Trusted, block: LightBlock) -> bool:
    """Tell whether more of the trusted set's keys than may be faulty are said to have signed."""
    known = set(trusted.members.signing_keys())
    return len(known & block.signers()) >= weak_quorum(len(trusted.members.validators))
