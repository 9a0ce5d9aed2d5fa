"""Synchronization for tests: ranges from ledger to ledger, and a node that catches up with peers that a test plays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from ledger_core_kit import Kit, Put, certify
from node_core_kit import Clock, Executor, Links

from consensus.engine import Synchronized
from ledger.block import decode_block
from ledger.chain import Chain
from ledger.errors import InvalidBlock
from node.block_ranges import SignaturePolicy, Trust, check_range
from node.chain_service import BlockResult, BlocksTaken, ChainService
from node.ports import InlineWorkers, Workers
from node.sync_peers import RETRY_MS
from node.synchronizer import SyncHost, Synchronizer
from node.wire import BlocksAnswer, BlocksRequest, decode_sync
from p2p.channels import Channel
from primitives.codec import encode
from primitives.finality import FinalityCertificate

HEIGHT = 150
"""More than two answers."""

Conduct = Callable[[BlocksRequest], BlocksAnswer | None]
"""How a peer answers: None for not at all."""


def trust_of(chain: Chain, epoch: int | None = None, signatures: SignaturePolicy = "verify") -> Trust:
    """Return what a node over `chain` trusts in an epoch, the present one unless said."""
    known = chain.epoch.number if epoch is None else epoch
    keys = tuple(validator.signing_key for validator in chain.validators(known))
    return Trust(chain.network_id, known, keys, signatures)


def take(
    service: ChainService,
    blocks: Sequence[bytes],
    trail: Sequence[bytes],
    certificate: FinalityCertificate | None,
    trust: Trust | None = None,
) -> BlocksTaken:
    """Check and execute what follows the head, as a synchronizer has it done."""
    assert certificate is not None
    chain = service._chain
    try:
        first = decode_block(blocks[0]).header.height if blocks else 0
        checked = check_range(trust or trust_of(chain), first, 2**62, blocks, trail, certificate)
    except InvalidBlock as refusal:
        return BlocksTaken((), refusal)
    return service.take_blocks(checked.blocks, certificate)


def make_source(height: int = HEIGHT) -> Kit:
    kit = Kit()
    for number in range(height):
        kit.execute(kit.transaction(Put(b"key-%d" % (number % 7), number)))
    kit.chain.add_certificate(certify(kit.chain, height))
    return kit


SOURCE = make_source()
SERVER = ChainService(SOURCE.chain)


class Laggard:
    """An empty node's synchronizer, its ledger, and peers whose conduct a test decides."""

    def __init__(self, *peers: str, signatures: SignaturePolicy = "verify", workers: Workers | None = None) -> None:
        self.kit = Kit()
        self.clock, self.links = Clock(), Links(*peers)
        self.executor = Executor(ChainService(self.kit.chain))
        self.results: list[BlockResult] = []
        self.events: list[Synchronized] = []
        self.diverged: list[InvalidBlock] = []
        self.too_far_behind: list[int] = []
        self.answered = 0
        self.synchronizer = Synchronizer(
            self.clock,
            self.links,
            self.executor,
            workers or InlineWorkers(),
            SyncHost(
                height=lambda: self.kit.chain.height,
                trust=lambda: trust_of(self.kit.chain, signatures=signatures),
                on_blocks=self.results.extend,
                on_reached=self.events.append,
                on_diverged=self.diverged.append,
            ),
        )
        self.synchronizer.fetching.on_too_far_behind = self.too_far_behind.append

    def need(self, height: int = HEIGHT, holders: Sequence[str] = ()) -> None:
        self.synchronizer.need(certify(SOURCE.chain, height), holders)

    def requests(self, peer: str | None = None) -> list[tuple[str, BlocksRequest]]:
        """All that was asked, of `peer` or of everyone."""
        found = []
        for node, channel, payload in self.links.sent:
            request = decode_sync(payload)
            assert channel is Channel.SYNC
            assert isinstance(request, BlocksRequest)
            if peer is None or node == peer:
                found.append((node, request))
        return found

    def asked(self) -> tuple[str, BlocksRequest]:
        """The latest request."""
        return self.requests()[-1]

    def answer(self, peer: str, request: BlocksRequest, conduct: Conduct | None = None) -> None:
        made = (conduct or honest)(request)
        if made is not None:
            self.synchronizer.on_answer(peer, made)

    def run(self, conduct: dict[str, Conduct], turns: int = 200) -> None:
        """Let peers answer as they do, in the order of the requests, until nothing is to be reached any more."""
        for _ in range(turns):
            if self.synchronizer.target_height is None:
                return
            if len(self.links.sent) > self.answered:
                peer, request = self.requests()[self.answered]
                self.answered += 1
                self.answer(peer, request, conduct.get(peer))
            else:
                self.clock.advance(RETRY_MS)
        raise AssertionError(f"not synchronized: height {self.kit.chain.height}, asked {len(self.links.sent)} times")

    @property
    def heights(self) -> list[int]:
        """Those of the executed blocks, in order."""
        return [result.block.header.height for result in self.results]

    @property
    def accused(self) -> set[str]:
        return {peer for peer, _ in self.links.complaints}


def served(number: int, first: int, last: int) -> BlocksAnswer:
    return BlocksAnswer(number, *msgspec.structs.astuple(SERVER.serve(first, last)))


def changed(answer: BlocksAnswer, **changes: Any) -> BlocksAnswer:
    return msgspec.structs.replace(answer, **changes)


# --- conduct


def honest(request: BlocksRequest) -> BlocksAnswer:
    return served(request.request, request.first, request.last)


def silent(_: BlocksRequest) -> None:
    return None


def behind(request: BlocksRequest) -> BlocksAnswer:
    """It says that it has less than it has."""
    return BlocksAnswer(request.request, (), (), None, 0, 0)


def withholding(request: BlocksRequest) -> BlocksAnswer:
    """It says that it has the blocks, and serves none."""
    return BlocksAnswer(request.request, (), (), None, 0, 2**62)


def pruned(request: BlocksRequest) -> BlocksAnswer:
    return BlocksAnswer(request.request, (), (), None, HEIGHT, HEIGHT)


def old_blocks(request: BlocksRequest) -> BlocksAnswer:
    """True blocks, certificate and all, which nobody asked for."""
    answer = served(request.request, 1, 1)
    wrong = 1 if request.first > 1 else 2
    answer = served(request.request, wrong, wrong)
    return changed(answer, headers=(), certificate=certify(SOURCE.chain, wrong))


def gap(request: BlocksRequest) -> BlocksAnswer:
    """They begin one block too high, or too low."""
    first = request.first + 1 if request.first < HEIGHT else request.first - 1
    return served(request.request, first, request.last)


def broken_chain(request: BlocksRequest) -> BlocksAnswer:
    """One block is left out, or there is one twice."""
    answer = honest(request)
    if len(answer.blocks) < 3:
        return changed(answer, blocks=answer.blocks[:1] * 2)
    return changed(answer, blocks=(answer.blocks[0], *answer.blocks[2:]))


def tampered_body(request: BlocksRequest) -> BlocksAnswer:
    """Right headers, but the last block's transactions are left out."""
    answer = honest(request)
    block = decode_block(answer.blocks[-1])
    forged = encode(msgspec.structs.replace(block, batches=()))
    return changed(answer, blocks=(*answer.blocks[:-1], forged))


def forged_certificate(request: BlocksRequest) -> BlocksAnswer:
    answer = honest(request)
    assert answer.certificate is not None
    signatures = tuple((index, bytes(64)) for index, _ in answer.certificate.signatures)
    return changed(answer, certificate=msgspec.structs.replace(answer.certificate, signatures=signatures))


def small_certificate(request: BlocksRequest) -> BlocksAnswer:
    """Fewer signatures than a quorum."""
    answer = honest(request)
    assert answer.certificate is not None
    few = answer.certificate.signatures[:2]
    return changed(answer, certificate=msgspec.structs.replace(answer.certificate, signatures=few))


def garbage(request: BlocksRequest) -> BlocksAnswer:
    return changed(honest(request), blocks=(b"no block",))


LIES: list[Conduct] = [
    withholding,
    old_blocks,
    gap,
    broken_chain,
    tampered_body,
    forged_certificate,
    small_certificate,
    garbage,
]
"""What no correct peer sends."""
USELESS: list[Conduct] = [silent, behind, *LIES]
