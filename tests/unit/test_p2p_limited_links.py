"""Who may connect is one question, whom a node dials another; and some peers share a bounded number of links."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from p2p_kit import LOOPS, Members, eventually, run

from p2p.channels import Channel
from p2p.errors import Reason
from p2p.options import LinkOptions

both_loops = pytest.mark.parametrize("loop_name", sorted(LOOPS))
QUICK = LinkOptions(redial_ms_min=10, redial_ms_max=100, later_dialer_delay_ms=0)


def limit(members: Members, *indices: int) -> None:
    for index in indices:
        members.entries[index] = msgspec.structs.replace(members.entries[index], limited=True)


async def start_apart(members: Members) -> None:
    """Start all and let everybody in; nobody dials."""
    for index in range(len(members.identities)):
        network = await members.start(index)
        network.set_wanted([])


@both_loops
def test_only_the_wanted_are_dialed_and_whoever_is_registered_may_dial(loop_name: str) -> None:
    async def story() -> None:
        async with Members(3, QUICK) as members:
            await start_apart(members)
            members.introduce()
            ids = [identity.node_id for identity in members.identities]
            members.networks[0].set_wanted([ids[1]])
            await members.recorders[1].linked(1)
            await members.recorders[0].linked(1)
            assert members.networks[0].is_connected(ids[1])
            assert members.networks[2].counters.dials == 0
            assert [peer.wanted for peer in members.networks[0].peers()] == [True, False]
            members.networks[2].set_wanted([ids[0]])
            await members.recorders[0].linked(2)
            assert members.networks[0].send(ids[2], Channel.SYNC, b"to one that dialed us")
            await members.recorders[2].received(1)
            members.networks[1].set_wanted(None)
            await members.recorders[2].linked(2)

    run(loop_name, story())


@both_loops
def test_a_link_that_is_not_wanted_any_more_stays_until_it_is_parted_and_is_not_dialed_again(loop_name: str) -> None:
    async def story() -> None:
        async with Members(2, QUICK) as members:
            await start_apart(members)
            members.introduce()
            first, second = members.networks[0], members.networks[1]
            first.set_wanted([second.node_id])
            await members.recorders[0].linked(1)
            first.set_wanted([])
            assert first.is_connected(second.node_id)
            dials = first.counters.dials
            first.part(second.node_id)
            await members.recorders[0].linked(0)
            await members.recorders[1].linked(0)
            assert members.recorders[0].disconnected[-1] == (second.node_id, "not-wanted")
            assert members.recorders[1].disconnected[-1] == (first.node_id, "closed-by-peer: not-wanted")
            assert first.counters.refusals[Reason.NOT_WANTED] == 0, "it blames nobody"
            # The other side may still call.
            second.set_wanted(None)
            await members.recorders[0].linked(1)
            assert first.counters.dials == dials

    run(loop_name, story())


@both_loops
def test_a_node_wanted_again_at_once_is_dialed(loop_name: str) -> None:
    """Giving up an attempt must not swallow the next one."""

    async def story() -> None:
        async with Members(2, QUICK) as members:
            await start_apart(members)
            members.introduce()
            first, second = members.networks[0], members.networks[1]
            for _ in range(3):
                first.set_wanted([second.node_id])
                await asyncio.sleep(0)
                first.set_wanted([])
            first.set_wanted([second.node_id])
            await members.recorders[0].linked(1)

    run(loop_name, story())


@both_loops
def test_limited_peers_share_their_links_and_take_no_others_place(loop_name: str) -> None:
    """N9: observers cannot crowd out validators; who finds no room is told so, and gets in when there is some."""

    async def story() -> None:
        async with Members(5, QUICK) as members:
            for index in range(5):
                options = msgspec.structs.replace(QUICK, limited_links_max=2) if index == 0 else QUICK
                network = await members.start(index, options=options)
                network.set_wanted([])
            limit(members, 1, 2, 3)
            members.introduce()
            target, recorder = members.networks[0], members.recorders[0]
            ids = [identity.node_id for identity in members.identities]
            for index in (1, 2):
                members.networks[index].set_wanted([ids[0]])
            await recorder.linked(2)
            members.networks[3].set_wanted([ids[0]])
            await eventually(lambda: members.networks[3].peers()[0].last_reason == "closed-by-peer: no-room")
            assert recorder.connected == {ids[1], ids[2]}
            assert members.recorders[3].connections == 0, "it never believed to be connected"
            members.networks[4].set_wanted([ids[0]])
            await recorder.linked(3)
            assert ids[4] in recorder.connected
            members.networks[1].set_wanted([])
            members.networks[1].part(ids[0])
            await recorder.until(lambda: ids[3] in recorder.connected)
            assert target.statistics().refusals[Reason.NO_ROOM] == 0, "it blames nobody"

    run(loop_name, story())


@both_loops
def test_a_peer_that_is_not_limited_any_more_needs_no_room(loop_name: str) -> None:
    """An observer that was let in as a validator."""

    async def story() -> None:
        async with Members(2, msgspec.structs.replace(QUICK, limited_links_max=0)) as members:
            await start_apart(members)
            limit(members, 1)
            members.introduce()
            ids = [identity.node_id for identity in members.identities]
            members.networks[1].set_wanted([ids[0]])
            await eventually(lambda: members.networks[1].peers()[0].last_reason == "closed-by-peer: no-room")
            members.entries[1] = msgspec.structs.replace(members.entries[1], limited=False)
            members.networks[0].update_registry(members.entries)
            await members.recorders[0].linked(1)

    run(loop_name, story())


def test_addresses_of_limited_peers_have_no_room_of_their_own_before_the_hello() -> None:
    async def story() -> None:
        async with Members(2, QUICK) as members:
            network = await members.start(0)
            entry = members.entries[1]
            network.update_registry([msgspec.structs.replace(entry, address="192.0.2.7:7100")])
            assert network.is_registered_address("192.0.2.7")
            network.update_registry([msgspec.structs.replace(entry, address="192.0.2.7:7100", limited=True)])
            assert not network.is_registered_address("192.0.2.7")

    run("asyncio", story())
