"""What can be wrong with what a peer sends over gossip, each with a code that is counted and logged."""

from __future__ import annotations

from enum import StrEnum

from p2p.errors import P2pError


class GossipReason(StrEnum):
    """Why a message was refused or a neighbor cut. The values are label values of a metric."""

    MALFORMED = "malformed"
    """No message, not canonical, or beyond a bound."""
    WRONG_DIGEST = "wrong-digest"
    """A payload's bytes do not hash to its id."""
    INVALID_PAYLOAD = "invalid-payload"
    """The host refused the payload."""
    EMPTY_PURSE = "empty-purse"
    """The peer sent more than its purse allows; dropped unread."""
    FLOOD = "flood"
    """It went on sending when its purse was empty."""
    NOT_A_MEMBER = "not-a-member"
    """It may not be a neighbor of this node."""
    NOT_A_NEIGHBOR = "not-a-neighbor"
    """What only neighbors send each other came from another; most often it left a moment ago."""
    BANNED = "banned"
    """It misbehaved a while ago."""
    TOO_MANY_ANNOUNCED = "too-many-announced"
    """More ids announced that nobody sent than one peer may."""
    UNANSWERED_PULL = "unanswered-pull"
    """It announced a payload and did not send it when asked."""
    TOO_MANY_UNVERIFIED = "too-many-unverified"
    """More payloads wait for the host's verdict than it allows; the payload is announced again later."""
    UNASKED_ANSWER = "unasked-answer"
    """An answer to a request that was not made, or was given up."""


class GossipError(P2pError):
    """A peer's message that is refused; nothing was changed by it."""

    def __init__(self, reason: GossipReason, detail: str = "") -> None:
        super().__init__(f"{reason.value}: {detail}" if detail else reason.value)
        self.reason = reason
        self.detail = detail
