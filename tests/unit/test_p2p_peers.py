"""Networks of two and four nodes: who gets connected, stays connected, and comes back."""

from __future__ import annotations

import asyncio

import pytest
from p2p_kit import LOOPS, NETWORK_ID, Members, eventually, run
from p2p_raw import RawPeer

from p2p.channels import Channel
from p2p.errors import Reason
from p2p.hello import Accept, Hello
from p2p.link import Link
from p2p.options import LinkOptions

both_loops = pytest.mark.parametrize("loop_name", sorted(LOOPS))
QUICK = LinkOptions(redial_ms_min=10, redial_ms_max=100, later_dialer_delay_ms=0)


@both_loops
def test_four_nodes_form_a_full_mesh_and_exchange_payloads_on_every_channel(loop_name: str) -> None:
    async def story() -> None:
        async with Members(4) as members:
            await members.start_all()
            await members.all_connected()
            ids = [identity.node_id for identity in members.identities]
            for channel in Channel:
                assert members.networks[0].broadcast(channel, bytes([channel]) * 100_000) == 3
            assert members.networks[1].send(ids[2], Channel.GOSSIP, b"hello")
            for index, count in ((1, 5), (2, 6), (3, 5)):
                await members.recorders[index].received(count)
            assert (ids[1], Channel.GOSSIP, b"hello") in members.recorders[2].payloads
            got = {channel: payload for node, channel, payload in members.recorders[3].payloads if node == ids[0]}
            assert got == {channel: bytes([channel]) * 100_000 for channel in Channel}
            info = members.networks[0].connected()
            assert [peer.node_id for peer in info] == ids[1:]
            assert {peer.head for peer in info} == {b"head"}

    run(loop_name, story())


@both_loops
def test_when_both_sides_dial_exactly_one_link_stays_and_it_carries_payloads(loop_name: str) -> None:
    async def story() -> None:
        async with Members(2, QUICK) as members:
            await members.start_all()
            await members.all_connected()
            first, second = members.networks[0], members.networks[1]

            def settled() -> bool:
                return len(first._open) == len(second._open) == 1 and bool(first.connected() and second.connected())

            await eventually(settled)
            assert first.connected()[0].dialed != second.connected()[0].dialed
            assert first.send(second.node_id, Channel.SYNC, b"one")
            assert second.send(first.node_id, Channel.SYNC, b"two")
            await members.recorders[1].received(1)
            await members.recorders[0].received(1)

    run(loop_name, story())


@both_loops
def test_a_node_that_was_stopped_is_connected_again_when_it_listens_on_its_old_port(loop_name: str) -> None:
    async def story() -> None:
        async with Members(2, QUICK) as members:
            await members.start_all()
            await members.all_connected()
            port, stopped = members.port(1), members.networks[1]
            await stopped.stop()
            survivor = members.recorders[0]
            await survivor.until(lambda: not survivor.connected)
            assert survivor.disconnected[-1][1] == "closed-by-peer: stopping"
            assert not members.networks[0].send(stopped.node_id, Channel.CONSENSUS, b"x")
            await members.start(1, port=port)
            await survivor.until(lambda: bool(survivor.connected))

    run(loop_name, story())


@both_loops
def test_a_removed_member_is_cut_off_and_cannot_come_back(loop_name: str) -> None:
    """S9, N5: membership is the registry's, at run time too."""

    async def story() -> None:
        async with Members(3, QUICK) as members:
            await members.start_all()
            await members.all_connected()
            removed = members.networks[2].node_id
            for index in (0, 1):
                members.networks[index].update_registry(members.entries[:2])
                assert removed not in members.recorders[index].connected
                assert members.recorders[index].disconnected[-1] == (removed, "removed-from-registry")
            # It knocks again and is refused at the TLS handshake.
            await eventually(lambda: members.networks[0].statistics().refusals[Reason.CERTIFICATE_REFUSED] > 0)
            assert members.networks[0].is_connected(members.networks[1].node_id)
            assert not members.networks[2].connected()
            # It was told why, and remembers it past the refusals.
            assert {peer.goodbye for peer in members.networks[2].peers()} == {"removed-from-registry"}
            # Registered anew it is welcome.
            members.introduce()
            await members.all_connected()
            assert {peer.goodbye for peer in members.networks[2].peers()} == {""}

    run(loop_name, story())


@both_loops
def test_disconnecting_a_peer_ends_the_link_and_it_comes_back_after_the_backoff(loop_name: str) -> None:
    """L13: a peer that lies above the link is dropped by name."""

    async def story() -> None:
        async with Members(2, QUICK) as members:
            await members.start_all()
            await members.all_connected()
            await eventually(lambda: all(len(network._open) == 1 for network in members.networks.values()))
            liar = members.networks[1].node_id
            recorder = members.recorders[0]
            count = recorder.connections
            members.networks[0].disconnect(liar, "lied about its height")
            assert recorder.connected == {liar}  # never told from within the call
            assert not members.networks[0].send(liar, Channel.SYNC, b"x")
            await recorder.until(lambda: not recorder.connected)
            assert recorder.disconnected[-1] == (liar, "misbehaved: lied about its height")
            await recorder.until(lambda: recorder.connections > count)
            assert members.networks[0].statistics().refusals[Reason.MISBEHAVED] == 1

    run(loop_name, story())


@pytest.mark.parametrize(
    ("existing_dialed", "new_dialed", "same_instance", "smaller", "stays"),
    [
        (True, False, True, True, False),  # we are the smaller: the link we dialed stays
        (False, True, True, True, True),
        (True, False, True, False, True),  # we are the larger: the link the peer dialed stays
        (False, True, True, False, False),
        (True, True, True, True, True),  # who dials twice has lost the first
        (False, False, True, False, True),
        (True, False, False, True, True),  # the peer was started again: whatever we had is dead
        (False, True, False, False, True),
    ],
)
def test_of_two_links_both_sides_keep_the_same_one(
    existing_dialed: bool, new_dialed: bool, same_instance: bool, smaller: bool, stays: bool
) -> None:
    async def story() -> None:
        async with Members(2) as members:
            index, other = (0, 1) if smaller else (1, 0)
            network = await members.start(index)
            peer = members.entries[other].node_id

            def link(dialed: bool, instance: bytes) -> Link:
                made = Link(network, asyncio.get_running_loop(), dialed=peer if dialed else None)
                made.node_id = peer
                made.peer_hello = Hello(1, NETWORK_ID, peer, network.node_id, instance, "", b"")
                return made

            existing = link(existing_dialed, b"instance")
            new = link(new_dialed, b"instance" if same_instance else b"restart!")
            assert new.peer_hello is not None
            assert network._replaces(new, new.peer_hello, existing) is stays

    run("asyncio", story())


@both_loops
def test_a_peer_that_comes_back_before_its_old_link_is_known_dead_replaces_it(loop_name: str) -> None:
    """N1: no waiting for the deadline of a link whose other end is gone."""

    async def story() -> None:
        async with Members(2) as members:
            await members.start(0)
            recorder = members.recorders[0]
            before = await RawPeer.connect(members, 1)
            await before.agree()
            await recorder.linked(1)
            after = await RawPeer.connect(members, 1)
            after.say(after.hello(instance=b"restart!"), Accept())
            await recorder.until(lambda: recorder.connections == 2)
            assert recorder.disconnected == [(members.entries[1].node_id, "duplicate-link")]
            await before.until_closed()
            assert members.networks[0].send(members.entries[1].node_id, Channel.CONSENSUS, b"to the new link")
            await after.until(lambda: (Channel.CONSENSUS, b"to the new link") in after.messages)
            await before.close()
            await after.close()

    run(loop_name, story())
