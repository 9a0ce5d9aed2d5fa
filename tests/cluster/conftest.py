"""Networks of a module end with it: idle nodes of tests that are done take time from those that run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from guildmark.testing.clusters import ClusterFactory, TestCluster

_SHARED: list[TestCluster] = []


@pytest.fixture(scope="session")
def guildmark_cluster(guildmark_cluster: TestCluster) -> TestCluster:
    """The network that tests of several modules share; it runs to the end of the session."""
    _SHARED.append(guildmark_cluster)
    return guildmark_cluster


@pytest.fixture(scope="module", autouse=True)
def _networks_end_with_their_module(guildmark_cluster_factory: ClusterFactory) -> Iterator[None]:
    """Stop every network that was made for the tests of one module."""
    yield
    for cluster in guildmark_cluster_factory.made:
        if cluster not in _SHARED:
            cluster.stop()
