"""The epoch that this node is in: its validators, its engine, and how one follows the other.

When the epoch's last block is certified and that is durable, the replica of the next epoch starts: at view 0, above
that block, with a log of its own. A node that is not in the set runs a replica that only follows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Literal, Protocol

from consensus.engine import Outdated
from consensus.pbft.replica import Replica
from node.chain_service import Head, Opening
from node.duties import Duties
from node.engine_setup import EngineMaker, draw_incarnation, open_log
from node.journal import Journal
from node.membership import Membership
from node.ports import Cancelable, PeerRole, Ports, RegisteredPeer
from primitives.finality import FinalityCertificate

FAREWELL_MS: Final = 10_000
"""How long the links to removed validators stay, so that they learn of the end of their epoch."""


Role = PeerRole | Literal["unregistered"]
"""What a node is on its network; unregistered ones are not let in."""


class EngineHost(Protocol):
    """What runs the engine: `node.consensus_driver`."""

    def replace(self, engine: Replica, epoch: int, incarnation: int) -> None: ...

    def adopt(self, incarnation: int, done: Callable[[], None]) -> None: ...


class EpochKeeper:
    """One node's epochs. Belongs to the deciding thread."""

    def __init__(
        self,
        ports: Ports,
        maker: EngineMaker,
        journal: Journal,
        opening: Opening,
        duties: Duties | None,
        release: Callable[[Sequence[bytes]], None],
        on_fatal: Callable[[BaseException], None],
    ) -> None:
        """`release` takes back what an epoch left undecided. Raises NodeFailure: the vote log cannot be used."""
        self._ports = ports
        self._maker = maker
        self._duties = duties
        self._release = release
        self._on_fatal = on_fatal
        self._peers: tuple[RegisteredPeer, ...] = ()
        """As the ledger named them last, and those that have left a moment ago; empty until it was asked."""
        self._farewell: Cancelable | None = None
        self._switching = False
        self.membership: Membership
        self.node_ids: list[str]
        """In order of replica id."""
        self.index: dict[str, int]
        self.replica_id: int | None
        self._enter(opening.membership)
        self.damage = journal.damage
        """What was wrong with a vote log that was put aside."""
        records = open_log(journal, opening.membership, opening.head, ports.entropy, self._recorded)
        self._incarnation = journal.head.incarnation
        self.engine = self._build(opening.head, opening.stable, records, gated=True)

    def _enter(self, membership: Membership) -> None:
        self.membership = membership
        self.node_ids = membership.node_ids
        self.index = {node: index for index, node in enumerate(self.node_ids)}
        self.replica_id = self._maker.replica_id(membership)

    @property
    def _recorded(self) -> int | None:
        """The number that the epoch's set names for this validator; None while it is none."""
        return None if self.replica_id is None else self.membership.validators[self.replica_id].incarnation

    def _build(self, head: Head, stable: FinalityCertificate | None, records: list[bytes], *, gated: bool) -> Replica:
        engine = self._maker.build(
            self.membership, head, stable, incarnation=self._incarnation, records=records, gated=gated
        )
        if self._duties is not None:
            self._duties.may_vote = self.replica_id is not None and not engine.status().outdated
            self._duties.incarnation = self._incarnation
        return engine

    @property
    def incarnation(self) -> int:
        """The number under which this directory may vote."""
        return self._incarnation

    @property
    def epoch(self) -> int:
        return self.membership.epoch

    @property
    def follows_only(self) -> bool:
        """Whether this node can put nothing into a batch: not in the set, or silent for the epoch."""
        return self.replica_id is None or self.engine.status().outdated

    @property
    def own_account(self) -> bytes:
        """The account of this node's validator; empty while it is none."""
        return b"" if self.replica_id is None else self.membership.validators[self.replica_id].account

    @property
    def role(self) -> Role:
        """What this node is, by the ledger that it holds itself, which may be behind."""
        if self.replica_id is not None:
            return "validator"
        own = self._maker.node_id
        found: Role = next((peer.role for peer in self._peers if peer.node_id == own), "unregistered")
        return "unregistered" if found == "validator" else found  # it was one, or lacks the key of one

    @property
    def keeps_artifacts(self) -> bool:
        """Whether this node holds and serves artifacts: as a validator, or as one on the way."""
        return self.role in ("validator", "candidate")

    def why(self) -> Iterator[str]:
        """Say in words what keeps this node from voting, as far as epochs go."""
        if self.damage:
            yield f"the vote log was put aside: {self.damage}"
        if self.replica_id is None:
            yield from _why_it_follows(self.role)
            return
        if self._recorded == self._incarnation:
            return
        if not self._incarnation:
            yield "another process has rejoined with this validator's key and votes in its place: end one of the two"
        else:
            wish = f"it asks to rejoin with incarnation {self._incarnation}"
            yield f"its votes were lost: {wish}, and votes again in the epoch that names this number"

    # --- the end of an epoch

    def on_certified(
        self, certificate: FinalityCertificate, host: EngineHost, head: Callable[[], Head], entered: Callable[[], None]
    ) -> None:
        """A certificate is durable and its block executed: go on to the next epoch if it was the last block's.

        `head` tells the ledger's head when it comes to it; `entered` is called when the epoch has begun.
        """
        ended = certificate.epoch == self.epoch and certificate.height == certificate.epoch_end
        if not ended or self._switching:
            return
        self._switching = True

        def found(membership: Any, error: BaseException | None) -> None:
            self._switching = False
            if error is not None:
                self._on_fatal(error)
                return
            old, members = self.engine, self.membership.validators
            place, recorded = self.replica_id, self._recorded
            self._enter(membership)
            outlived = self._is_outlived(recorded)
            if outlived:
                self._incarnation = 0 if old.proven else draw_incarnation(self._ports.entropy())
            self.engine = self._build(head(), None, [], gated=not old.proven)
            self.register(farewell=True)
            host.replace(self.engine, self.epoch, self._incarnation)
            if outlived:
                self._adopt(host)
            remaining = set(membership.validators)
            lost = {index for index, member in enumerate(members) if member not in remaining or index == place}
            self._release(old.undecided_items(frozenset(lost)))
            entered()

        self._ports.executor.call("membership", (self.epoch + 1,), found)

    def _is_outlived(self, recorded: int | None) -> bool:
        """Whether this validator has rejoined without this directory, which was in order until now as far as it knew.

        `recorded` is the number of the epoch before. A directory that has fallen behind, an empty or a copied one,
        draws a number and rejoins. One that was voting shares its key with another process that runs: if each
        rejoined whenever the other has, epochs would never stop ending. It waits, with no number, until it is started
        again.
        """
        return self._recorded not in (None, self._incarnation) and recorded in (None, self._incarnation)

    def on_outdated(self, effect: Outdated, host: EngineHost) -> None:
        """Others showed that our log lacks promises: never vote again under this incarnation."""
        assert effect.promised > effect.position
        if not self.engine.status().outdated:
            return  # it was said of the epoch before
        self._incarnation = draw_incarnation(self._ports.entropy())
        self._adopt(host)

    def _adopt(self, host: EngineHost) -> None:
        """Rejoin with the present number, but not before it is durable."""
        incarnation = self._incarnation
        if self._duties is not None:
            self._duties.incarnation = 0

        def durable() -> None:
            if self._duties is not None:
                self._duties.may_vote = False
                self._duties.incarnation = incarnation

        host.adopt(incarnation, durable)

    # --- peers

    def register(self, *, farewell: bool = False) -> None:
        """Tell the links who belongs to the network now; who has left stays for a while after its epoch."""

        def found(peers: Any, error: BaseException | None) -> None:
            if error is not None:
                return  # the ledger is failing, which ends the node elsewhere
            stay = {peer.node_id for peer in peers}
            leaving = [peer for peer in self._peers if peer.node_id not in stay]
            if leaving and (farewell or self._farewell is not None):
                peers = (*peers, *leaving)
            self._peers = peers
            self._ports.links.register(peers)

        if farewell:
            if self._farewell is not None:
                self._farewell.cancel()
            self._farewell = self._ports.clock.call_later(FAREWELL_MS, self._part)
        self._ports.executor.call("peers", (self.epoch,), found)

    def _part(self) -> None:
        self._farewell = None
        self.register()

    def stop(self) -> None:
        if self._farewell is not None:
            self._farewell.cancel()
            self._farewell = None


def _why_it_follows(role: Role) -> Iterator[str]:
    if role == "candidate":
        yield "this node was let in as a validator, and follows the others until the epoch ends"
    elif role == "unregistered":
        yield "this node is not in the validator set, it follows the others"
