"""The light client over HTTP: several nodes, some of which lie, over a real chain and over forged headers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import lru_cache
from typing import Any

import msgspec
import pytest
from certificates_kit import World, build, cid, turn
from epochs_kit import key
from guildmark_kit import Answer, Asked, FakeNode, fake_node, problem

from guildmark import LightClient, NotFound, Unreachable, VerificationFailed
from guildmark.light import ForkDetected
from ledger.block import block_hash
from ledger.certificates.export import export
from ledger.certificates.subjects import AbsenceSubject, AssetSubject, Subject
from ledger.errors import LedgerError
from ledger.light.blocks import LightBlock
from ledger.light.serving import epoch_end, light_block
from primitives.codec import encode
from primitives.finality import FinalityCertificate, finality_statement

Bend = Callable[[LightBlock], LightBlock]


@lru_cache(maxsize=1)
def world() -> World:
    """Three epochs, each block certified."""
    made = build()
    for index in range(2):
        turn(made.chain, index)
    chain = made.chain.chain
    for height in range(1, chain.height + 1):
        chain.add_certificate(made.chain.certify(height))
    return made


def serve(node: FakeNode, bend: Bend | None = None, height: int | None = None) -> None:
    """Let a fake node show the chain, up to a height, bent by a liar."""
    chain = world().chain.chain
    top = chain.height if height is None else height

    def block(asked: Asked) -> Answer:
        last = asked.path.rsplit("/", 1)[1]
        wanted = top if last == "latest" else int(last)
        if wanted > top:
            return problem(404, "query.not_found")
        return 200, encode((bend or (lambda one: one))(light_block(chain, wanted)))

    def end(asked: Asked) -> Answer:
        return 200, encode((bend or (lambda one: one))(epoch_end(chain, int(asked.path.rsplit("/", 1)[1]))))

    def certificate(asked: Asked) -> Answer:
        kind, *rest = asked.path.split("/")[3:]
        subject: Subject = (
            AssetSubject(bytes.fromhex(rest[0])) if kind == "assets" else AbsenceSubject("artifact", rest[1].encode())
        )
        try:
            return 200, export(chain, subject, since=int(asked.query["since"]))
        except LedgerError as error:
            return problem(404, error.code)

    node.routes["GET", "/v1/light/blocks/"] = block
    node.routes["GET", "/v1/light/epochs/"] = end
    node.routes["GET", "/v1/certificates/"] = certificate


@pytest.fixture
def nodes() -> Iterator[Callable[..., FakeNode]]:
    with ExitStack() as stack:

        def start(bend: Bend | None = None, height: int | None = None) -> FakeNode:
            node = stack.enter_context(fake_node(world().chain.genesis))
            serve(node, bend, height)
            return node

        yield start


def follow(*started: FakeNode, **options: Any) -> LightClient:
    return LightClient(world().chain.network_id, [node.url for node in started], **options)


def flipped(block: LightBlock) -> LightBlock:
    return msgspec.structs.replace(block, header=msgspec.structs.replace(block.header, state_root=bytes(32)))


def forked(block: LightBlock) -> LightBlock:
    """What a coalition of everybody certifies beside the chain."""
    header = msgspec.structs.replace(block.header, state_root=bytes(32))
    if block.height != world().chain.chain.height:
        return block
    hashed = block_hash(header)
    statement = finality_statement(header.network_id, header.epoch, header.height, hashed, header.epoch_end)
    names = {key(name).public_key: key(name) for name in (*(f"v{i}" for i in range(8)), *(f"n{i}" for i in range(8)))}
    votes = tuple(
        (index, names[member.signing_key].sign(statement)) for index, member in enumerate(block.members.validators)
    )
    finality = FinalityCertificate(header.epoch, header.height, hashed, header.epoch_end, votes)
    return LightBlock(header, (), finality, block.members)


def test_it_follows_the_chain_from_the_genesis_hash_and_its_nodes_agree(nodes: Any) -> None:
    first, second = nodes(), nodes()
    with follow(first, second) as client:
        trusted = client.update()
        assert (trusted.height, trusted.block_hash) == (world().chain.chain.height, world().chain.chain.head_hash)
        assert trusted.agreeing == (first.url, second.url)
        assert (trusted.epoch, trusted.liars, client.liars) == (2, (), {})
        assert client.update(3).height == 3


@pytest.mark.parametrize("place", [0, 1])
def test_a_node_that_lies_is_named_and_asked_no_more(nodes: Any, place: int) -> None:
    """L13, P3: first or last among honest ones."""
    started = [nodes(), nodes()]
    liar = nodes(flipped)
    started.insert(place, liar)
    with follow(*started) as client:
        trusted = client.update()
        assert trusted.block_hash == world().chain.chain.head_hash
        assert [one.url for one in trusted.liars] == [liar.url]
        assert client.liars[liar.url].code == "certificate.header"
        asked = len(liar.asked)
        client.update(2)
        assert len(liar.asked) == asked


def test_nodes_that_all_lie_lead_nowhere(nodes: Any) -> None:
    with follow(nodes(flipped), nodes(flipped)) as client:
        with pytest.raises(VerificationFailed):
            client.update()
        with pytest.raises(Unreachable):
            client.update()
        assert len(client.liars) == 2


def test_a_node_of_another_network_is_named(nodes: Any) -> None:
    other = nodes()
    other.genesis = msgspec.structs.replace(world().chain.genesis, name="another")
    honest = nodes()
    with follow(other, honest) as client:
        assert client.update().agreeing == (honest.url,)
        assert client.liars[other.url].code == "certificate.genesis"


def test_a_node_that_is_behind_or_dead_is_no_liar(nodes: Any) -> None:
    behind, dead, honest = nodes(None, 3), nodes(), nodes()
    dead.close()
    with follow(honest, behind, dead) as client:
        trusted = client.update()
        assert trusted.height == world().chain.chain.height
        assert trusted.agreeing == (honest.url,)
        assert client.liars == {}


def test_a_node_that_holds_back_what_is_new_hides_nothing(nodes: Any) -> None:
    """P2, P3: the first one is behind, or acts so; the network's newest block comes from the others."""
    behind, honest = nodes(None, 3), nodes()
    with follow(behind, honest, nodes(flipped)) as client:
        trusted = client.update()
        assert (trusted.height, trusted.agreeing) == (world().chain.chain.height, (honest.url,))
        assert len(trusted.liars) == 1
        assert client.certified(AssetSubject(world().asset)).height == world().chain.chain.height


def test_a_fork_is_raised_with_its_evidence(nodes: Any) -> None:
    """S1: more than f signed two blocks; both are in hand."""
    honest, other = nodes(), nodes(forked)
    with follow(honest, other) as client, pytest.raises(ForkDetected) as caught:
        client.update()
    ours, theirs = caught.value.evidence
    assert ours.height == theirs.height
    assert ours.hash() != theirs.hash()
    for block in (ours, theirs):
        block.check(world().chain.network_id)
    assert len(caught.value.double_signers) >= 2
    assert caught.value.url == other.url


def test_a_fork_that_was_trusted_before_is_found_as_well(nodes: Any) -> None:
    """S1: nothing new has come, and the other node's block is certified all the same."""
    honest, other = nodes(), nodes(forked)
    with follow(honest) as client:
        client.update()
        state = client.dump()
    with follow(honest, other, state=state) as client, pytest.raises(ForkDetected) as caught:
        client.update()
    for block in caught.value.evidence:
        block.check(world().chain.network_id)


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("then", ["the true one", "nothing", "the same again"])
def test_a_node_alone_cannot_make_others_look_like_double_signers(nodes: Any, then: str, known: bool) -> None:
    """P3: it shows a block that nobody certified, and then the true one. That is no fork, and nobody's evidence."""
    chain = world().chain.chain
    honest, liar = nodes(), nodes()
    top, shown = f"/v1/light/blocks/{chain.height}", []

    def block(asked: Asked) -> Answer:
        true = light_block(chain, int(asked.path.rsplit("/", 1)[1]))
        shown.append(asked.path)
        if asked.path != top or (then == "the true one" and shown.count(top) > 1):
            return 200, encode(true)
        if then == "nothing" and shown.count(top) > 1:
            return problem(404, "query.not_found")
        return 200, encode(flipped(true))

    liar.routes["GET", "/v1/light/blocks/"] = block
    state = None
    if known:
        with follow(honest) as before:
            before.update()
            state = before.dump()
    with follow(honest, liar, state=state) as client:
        trusted = client.update()
        assert (trusted.block_hash, trusted.agreeing) == (chain.head_hash, (honest.url,))
        assert [one.url for one in trusted.liars] == ([] if then == "nothing" else [liar.url])


def test_another_block_than_the_pinned_one_is_judged_by_the_pinned_one(nodes: Any) -> None:
    """S1, P3: a certified one is a fork; one that is not, a lie; what was trusted before the pin counts no more."""
    chain = world().chain.chain
    with follow(nodes(), nodes(forked)) as client, pytest.raises(ForkDetected):
        client.pin(chain.height, chain.head_hash)
    liar = nodes(flipped)
    with follow(nodes(), liar) as client:
        pinned = client.pin(chain.height, chain.head_hash)
        assert [one.url for one in pinned.liars] == [liar.url]


def test_it_goes_on_from_its_state(nodes: Any) -> None:
    node = nodes()
    with follow(node) as client:
        assert client.dump() is None
        client.update()
        state = client.dump()
    node.asked.clear()
    with follow(node, state=state) as client:
        client.update()
    assert [asked.path for asked in node.asked] == ["/v1/light/blocks/latest"]
    with pytest.raises(VerificationFailed):
        follow(node, state=b"damaged").close()


def test_a_pin_takes_the_place_of_the_genesis(nodes: Any) -> None:
    chain = world().chain.chain
    with follow(nodes(), trust_period_ms=1) as client:
        with pytest.raises(Exception, match="trust period"):
            client.update()
        header = chain.header(5)
        assert header is not None
        assert client.pin(5, block_hash(header)).height == 5
        with pytest.raises(VerificationFailed):
            client.pin(6, bytes(32))
        assert client.liars == {}


def test_records_come_proven_from_what_is_trusted(nodes: Any) -> None:
    made = world()
    with follow(nodes()) as client:
        verified: Any = client.certified(AssetSubject(made.asset))
        assert (verified.name, verified.start_height) == ("digits", made.chain.chain.height)
        absent: Any = client.certified(AbsenceSubject("artifact", cid(b"nobody's").encode()))
        assert absent.absent == "artifact"
        with pytest.raises(NotFound):
            client.certified(AssetSubject(bytes(32)))


def test_a_node_that_denies_a_record_does_not_hide_it(nodes: Any) -> None:
    """P2: a refusal is no proof of absence, and the next node is asked."""
    denying, honest = nodes(), nodes()
    denying.routes["GET", "/v1/certificates/"] = lambda _: problem(404, "query.not_found")
    with follow(denying, honest) as client:
        assert client.certified(AssetSubject(world().asset)).proves == "asset"
        assert client.liars == {}


def test_a_forged_certificate_names_its_node(nodes: Any) -> None:
    """P1, P2."""
    forging, honest = nodes(), nodes()
    chain = world().chain.chain
    data = bytearray(export(chain, AssetSubject(world().asset), since=chain.height))
    data[-1] ^= 1
    forging.routes["GET", "/v1/certificates/"] = lambda _: (200, bytes(data))
    with follow(forging, honest) as client:
        assert client.certified(AssetSubject(world().asset)).proves == "asset"
        assert set(client.liars) == {forging.url}
