"""What is proposed can be judged before it is accepted, and is not brought again after: on real processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from guildmark.errors import Denied
from guildmark.testing.clusters import AccountFactory, TestCluster
from ledger.modules.licenses.operations import Terms

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("shared-network")]


def test_owners_fetch_what_is_proposed_and_have_it_once_they_accept(
    guildmark_cluster: TestCluster, guildmark_account: AccountFactory, tmp_path: Path
) -> None:
    guildmark_cluster.heal()
    owner, maker, other = (guildmark_account(credits=10_000) for _ in range(3))
    (tmp_path / "rows.csv").write_bytes(b"a,b\n" * 1_000)
    (tmp_path / "more.csv").write_bytes(b"a,b,c\n" * 500_000)
    terms = Terms(rights=("train-on",), price=0, derivatives="yes")
    with guildmark_cluster.client(owner) as client:
        asset = client.assets.register(tmp_path / "rows.csv", kind="dataset", name="rows", visibility="public").asset
        bounty = client.contributions.open_bounty(asset, 700)
        offer = client.licenses.offer(asset, terms)
    with guildmark_cluster.client(maker) as client:
        grant = client.licenses.buy(offer.offer)
        made = client.contributions.propose(
            asset, tmp_path / "more.csv", right="train-on", grant=grant.grant, bounty=bounty, share_bps_min=500
        )
    with guildmark_cluster.client(other) as client:
        with pytest.raises(Denied) as refused:
            client.contributions.download(made["contribution"], tmp_path / "stolen.csv")
        assert refused.value.code == "artifact.proposed"
    with guildmark_cluster.client(owner) as client:
        copy = client.contributions.download(made["contribution"], tmp_path / "copy.csv")
        assert copy.read_bytes() == (tmp_path / "more.csv").read_bytes()
        accepted = client.contributions.accept(made["contribution"])
        assert (accepted["version"], accepted["share_bps"]) == (2, 500)
        # Nobody uploads anything from here on.
        assert client.artifacts.wait_held(made["cid"])["complete"]
        version = client.assets.version(asset, 2)
        assert (version["contributor"], version["available"]) == (maker.text, True)
    with guildmark_cluster.client(maker) as client:
        assert client.credits.balance() == 10_700
