"""A registered directory that names somebody else's artifact does not open it."""

from __future__ import annotations

from pathlib import Path

import pytest

from guildmark.errors import Denied
from guildmark.testing.clusters import AccountFactory, TestCluster

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("shared-network")]


def test_a_directory_around_a_foreign_artifact_does_not_open_it(
    guildmark_cluster: TestCluster, guildmark_account: AccountFactory, tmp_path: Path
) -> None:
    """M1, A5: CIDs are public and blocks are shared by content; the right to read them is not."""
    guildmark_cluster.heal()
    owner, thief = guildmark_account(credits=100), guildmark_account(credits=100)
    folder = tmp_path / "loot"
    folder.mkdir()
    secret = tmp_path / "secret.bin"
    secret.write_bytes(b"a model that nobody may read" * 99)
    (folder / "inside.bin").write_bytes(secret.read_bytes())
    with guildmark_cluster.client(owner) as client:
        victim = client.assets.register(secret, kind="software", name="secret")
        client.artifacts.wait_held(victim.cid)
    with guildmark_cluster.client(thief) as client:
        # The thief needs the bytes to upload; here he has them, so that only the right to read is in question.
        loot = client.assets.register(folder, kind="software", name="loot", visibility="public")
        with pytest.raises(Denied) as refused:
            client.artifacts.fetch_block(loot.cid, victim.cid)
        assert refused.value.code == "no_grant"
        assert client.artifacts.fetch_block(loot.cid, loot.cid)
