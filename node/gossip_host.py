"""The host of a node's gossip: performs the core's effects, publishes what is certified, and judges what arrives.

A validator publishes each block when it is final. A node that does not vote executes what arrives in order, and leaves
gaps to block synchronization. Belongs to the deciding thread; no asyncio.
"""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Final, Protocol

import structlog

from consensus.evidence import Evidence
from ledger.chain import ExecutedBlock
from node import gossip_payloads
from node.gossip_payloads import Judged, Known
from node.gossip_take import InOrder
from node.ports import Cancelable, Clock, ExecutorPort, PeerRole, RegisteredPeer, VerifierPort, Workers
from p2p.channels import Channel
from p2p.gossip.configuration import GossipConfiguration
from p2p.gossip.core import Gossip
from p2p.gossip.engine import (
    Connect,
    Deliver,
    Effect,
    Event,
    GossipStatus,
    LinkDown,
    LinkUp,
    MembersChanged,
    Misbehaved,
    Publish,
    Received,
    Release,
    Send,
    TimePassed,
    Verdict,
    Verified,
    Verify,
)
from p2p.gossip.messages import Kind, Payload, encode_message
from primitives.digest import Digest
from primitives.finality import FinalityCertificate

FRESH_MS: Final = 3_000
"""While a block came by gossip within this time, nobody is asked for heads."""
STEP_MS_MAX: Final = 60_000
"""The wall clock may jump; gossip's own time goes on by at most so much at once, and never back."""
PUBLISHED_AT_ONCE_MAX: Final = 64
"""Blocks published when many become final together; older ones are left to block synchronization."""
BAD_TRANSACTION: Final = frozenset({"transaction.malformed", "transaction.too_large", "transaction.bad_signature"})
"""What no node passes on. Other refusals depend on where a node's ledger stands."""

log: Final = structlog.get_logger("node.gossip")


class GossipLinks(Protocol):
    """The links, as far as gossip needs them."""

    def send(self, node_id: str, channel: Channel, payload: bytes) -> bool: ...

    def connected(self) -> Sequence[str]: ...

    def keep(self, node_id: str) -> None:
        """Have a link to this node, beside those that others want."""
        ...

    def give_back(self, node_id: str) -> None:
        """Gossip needs the link no more."""
        ...

    def misbehaved(self, node_id: str, reason: str) -> None: ...


class Follower(Protocol):
    """The deciding parts, as far as gossip needs them: `node.core`."""

    def known(self) -> Known:
        """What certificates are judged against."""
        ...

    @property
    def follows_only(self) -> bool: ...

    @property
    def height(self) -> int: ...

    def take_certified(
        self, block: bytes, headers: Sequence[bytes], certificate: FinalityCertificate, done: Callable[[], None]
    ) -> None:
        """Execute a certified block that follows the head."""
        ...

    def show_certificate(self, certificate: FinalityCertificate) -> None:
        """A certificate was shown: go there, by whatever way."""
        ...

    def offer(self, transaction: bytes, done: Callable[[str, bool], None]) -> None:
        """Take a transaction for a batch; `done` hears a refusal's code, and whether it was known."""
        ...


class GossipHost:
    """One node's gossip."""

    def __init__(
        self,
        node_id: str,
        clock: Clock,
        links: GossipLinks,
        executor: ExecutorPort,
        verifier: VerifierPort,
        workers: Workers,
        follower: Follower,
        configuration: GossipConfiguration,
        chance: random.Random,
    ) -> None:
        self.bytes_sent: Counter[str] = Counter()
        """By the role of the receiver."""
        self.payload_bytes_sent: Counter[str] = Counter()
        """Of those, blocks, heads and transactions, by kind."""
        self._node_id = node_id
        self._clock = clock
        self._links = links
        self._executor = executor
        self._verifier = verifier
        self._workers = workers
        self._follower = follower
        self._core = Gossip(node_id, configuration, chance)
        self._in_order = InOrder(clock, follower)
        self._roles: dict[str, PeerRole] = {}
        self._judged: dict[Digest, Judged] = {}
        """Blocks and heads found valid, until the core delivers them, which it does at once."""
        self._events: deque[Event] = deque()
        self._working = False
        self._timer: Cancelable | None = None
        self._clock_ms = clock.now_ms()
        self._now_ms = 0
        self._delivered_ms = -FRESH_MS
        self._members = MembersChanged(())
        self._stopped = True

    # --- life

    def start(self) -> None:
        self._stopped = False
        self._perform(self._core.start(self._members, self._time_ms()))
        self._arm()
        for node in self._links.connected():
            self._handle(LinkUp(node))

    def stop(self) -> None:
        self._stopped = True
        self._in_order.stop()
        if self._timer is not None:
            self._timer.cancel()

    def on_registered(self, peers: Sequence[RegisteredPeer]) -> None:
        """Take note of who belongs to the network now. Validators have each block from consensus: they neighbor only
        those who have not."""
        self._roles = {peer.node_id: peer.role for peer in peers}
        own = self._roles.get(self._node_id)
        meshed = ("validator", "candidate")
        contacts = tuple(node for node, role in self._roles.items() if role == "validator")
        if own in meshed:
            allowed = tuple(node for node, role in self._roles.items() if role not in meshed)
            contacts = ()
        else:
            allowed = tuple(self._roles)
        self._members = MembersChanged(allowed, contacts)
        self._handle(self._members)

    # --- links

    def on_peer_connected(self, node_id: str) -> None:
        self._handle(LinkUp(node_id))

    def on_peer_disconnected(self, node_id: str) -> None:
        self._handle(LinkDown(node_id))

    def on_payload(self, node_id: str, payload: bytes) -> None:
        self._handle(Received(node_id, payload))

    # --- what the node has

    @property
    def fresh(self) -> bool:
        """Whether blocks come by gossip, so that they need not be asked for."""
        return bool(self._core.status().active) and self._time_ms() - self._delivered_ms < FRESH_MS

    @property
    def neighbors(self) -> tuple[str, ...]:
        """The active view."""
        return self._core.status().active

    def spread(self, transactions: Sequence[bytes]) -> bool:
        """Let transactions travel to validators; False when there is nobody to give them to."""
        if self._stopped or not self._core.status().active:
            return False
        for transaction in transactions:
            self._handle(Publish(Kind.TRANSACTION, transaction))
        return True

    def on_executed(self, block: ExecutedBlock) -> None:
        """Only what is final goes out."""

    def on_dropped(self, identifiers: Sequence[bytes]) -> None:
        """Gossip promises nothing to transactions."""

    def on_evidence(self, evidence: Evidence) -> None:
        """Evidence travels as a transaction."""

    def on_certified(self, height: int, blocks: Sequence[ExecutedBlock]) -> None:  # noqa: ARG002 - each has its own
        """Publish blocks that are final, if consensus made them here."""
        if self._stopped or self._follower.follows_only or not self._core.status().active:
            return
        for block in blocks[-PUBLISHED_AT_ONCE_MAX:]:
            self._executor.call("blocks", (block.header.height, block.header.height), self._publish)

    def status(self) -> GossipStatus:
        return self._core.status()

    def _publish(self, found: Any, error: BaseException | None) -> None:
        if self._stopped or error is not None:
            return
        blocks, headers, certificate = found
        if blocks and certificate is not None:
            self._handle(gossip_payloads.block_payload(blocks[0], headers, certificate))

    # --- events and effects

    def _handle(self, event: Event) -> None:
        """Give the core an event. Performing what comes of it may bring further ones, which wait their turn."""
        if self._stopped:
            return
        self._events.append(event)
        if self._working:
            return
        self._working = True
        try:
            while self._events and not self._stopped:
                taken = self._events.popleft()
                self._perform(self._core.step(taken, self._time_ms()))
                if isinstance(taken, Verified):
                    self._judged.pop(taken.id, None)  # it was published meanwhile
        finally:
            self._working = False
        self._arm()

    def _perform(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send():
                    self._send(effect)
                case Verify():
                    self._judge(effect)
                case Deliver():
                    self._deliver(effect)
                case Connect(peer=peer):
                    if peer in self._links.connected():
                        self._events.append(LinkUp(peer))
                    else:
                        self._links.keep(peer)
                case Release(peer=peer):
                    self._links.give_back(peer)
                case Misbehaved(peer=peer, reason=reason):
                    self._links.misbehaved(peer, reason)

    def _send(self, effect: Send) -> None:
        data = encode_message(effect.message)
        for peer in effect.to:
            if self._links.send(peer, Channel.GOSSIP, data):
                self.bytes_sent[self._roles.get(peer, "unregistered")] += len(data)
                if isinstance(effect.message, Payload):
                    self.payload_bytes_sent[effect.message.kind.name.lower()] += len(data)

    def _judge(self, effect: Verify) -> None:
        if effect.kind is Kind.TRANSACTION:
            self._judge_transaction(effect.id, effect.body)
            return
        judge = gossip_payloads.judge_block if effect.kind is Kind.BLOCK else gossip_payloads.judge_head

        def answer(judged: Any, error: BaseException | None) -> None:
            assert error is None, "judging is total"
            if judged.verdict is Verdict.INVALID:
                log.warning("a peer sent a bad payload", peer=effect.sender, kind=effect.kind, reason=judged.reason)
            elif judged.verdict is Verdict.VALID:
                self._judged[effect.id] = judged
            self._handle(Verified(effect.id, judged.verdict))

        job = partial(judge, self._follower.known(), effect.body, effect.seal)
        self._workers.run(job, answer, len(effect.body))

    def _judge_transaction(self, identifier: Digest, transaction: bytes) -> None:
        """A validator takes it, anybody else only has its signature checked: the pool is for what is offered here."""

        def judged(code: str, known: bool) -> None:
            verdict = Verdict.VALID
            if code:
                verdict = Verdict.INVALID if code in BAD_TRANSACTION else Verdict.IGNORED
            elif known:
                verdict = Verdict.IGNORED
            self._handle(Verified(identifier, verdict))

        def verified(signatures: list[bool] | None) -> None:
            if signatures is None:
                judged("pool.full", False)
            else:
                judged("" if signatures[0] else "transaction.bad_signature", False)

        def admitted(verdicts: Any, error: BaseException | None) -> None:
            if error is not None or verdicts[0].code or verdicts[0].known or not verdicts[0].signed:
                judged("executor" if error is not None else verdicts[0].code, True)
            else:
                self._verifier.verify([transaction], verified)

        if self._follower.follows_only:
            self._executor.call("admit", ([transaction], self._clock.now_ms()), admitted)
        else:
            self._follower.offer(transaction, judged)

    def _deliver(self, effect: Deliver) -> None:
        if effect.kind is Kind.TRANSACTION:
            return
        judged = self._judged.pop(effect.id, None)
        if judged is None or judged.certificate is None:
            return
        self._delivered_ms = self._time_ms()
        if effect.kind is Kind.BLOCK and self._follower.follows_only:
            self._in_order.take(judged.height, effect.body, judged.headers, judged.certificate)
        else:
            self._follower.show_certificate(judged.certificate)

    # --- time

    def _time_ms(self) -> int:
        clock_ms = self._clock.now_ms()
        self._now_ms += min(STEP_MS_MAX, max(0, clock_ms - self._clock_ms))
        self._clock_ms = clock_ms
        return self._now_ms

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        delay_ms = max(1, self._core.next_deadline_ms() - self._time_ms())
        self._timer = self._clock.call_later(delay_ms, lambda: self._handle(TimePassed()))
