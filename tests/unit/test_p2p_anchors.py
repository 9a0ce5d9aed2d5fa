"""Trust anchors: added at once, taken out at once and then seldom."""

from __future__ import annotations

import asyncio

import pytest

from p2p import anchors
from p2p.anchors import Anchors
from p2p.identity import Identity, make_identity
from primitives.identifiers import NodeId

OWN, *OTHERS = [make_identity() for _ in range(6)]


def certificates(*identities: Identity) -> dict[NodeId, bytes]:
    return {identity.node_id: identity.certificate_der for identity in identities}


def trusted(made: Anchors) -> set[bytes]:
    found = [set(context.get_ca_certs(binary_form=True)) for context in (made.client, made.server)]
    assert found[0] == found[1]
    return found[0]


def test_adding_builds_nothing_anew() -> None:
    made = Anchors(OWN, certificates(*OTHERS[:2]))
    contexts = (made.client, made.server)
    made.replace(certificates(*OTHERS))
    assert (made.client, made.server) == contexts
    assert made.builds == 1


def test_a_removal_builds_at_once_and_those_after_it_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """A member that registers and withdraws with every block does not keep the loop busy."""
    monkeypatch.setattr(anchors, "REBUILD_PERIOD_S", 0.05)

    async def story() -> None:
        made = Anchors(OWN, certificates(*OTHERS))
        first = made.client
        made.replace(certificates(*OTHERS[1:]))
        assert made.client is not first
        for _ in range(50):
            made.replace(certificates(*OTHERS))
            made.replace(certificates(*OTHERS[2:]))
        assert made.builds == 2
        async with asyncio.timeout(10):
            while made.builds < 3:  # noqa: ASYNC110 - a timer's work
                await asyncio.sleep(0.005)
        await asyncio.sleep(0.2)
        assert made.builds == 3, "nothing is left to do"
        assert made._loaded == made._wanted == certificates(*OTHERS[2:])
        made.stop()

    asyncio.run(story())


def test_another_certificate_of_a_node_takes_the_place_of_the_one_before() -> None:
    """Two anchors of one name would be taken for one another."""

    async def story() -> None:
        made = Anchors(OWN, certificates(*OTHERS))
        node = OTHERS[0].node_id
        made.replace({**certificates(*OTHERS), node: OTHERS[1].certificate_der})
        assert made.builds == 2
        assert made._loaded[node] == OTHERS[1].certificate_der
        made.stop()

    asyncio.run(story())
