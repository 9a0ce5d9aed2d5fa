"""The pytest plugin: a real cluster of node processes for anybody's tests.

Fixtures:
    guildmark_cluster           a running network of the session (one for each pytest-xdist worker)
    guildmark_client            a client of its first account; before each test that uses it, dead or paused nodes are
                                brought back
    guildmark_account           factory of funded accounts: `guildmark_account(credits=5_000)`
    guildmark_cluster_factory   further networks: `guildmark_cluster_factory(validators=7, genesis={"fee_bps": 0})`
    guildmark_options           override it in a conftest (scope="session") to change `guildmark_cluster`

Directories and merged logs of failed tests' networks are kept and named in the report. Nothing stays running: nodes end
with the test process, however it ends. This module imports nothing heavy until a fixture is used.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from guildmark.sync import Client
    from guildmark.testing.clusters import AccountFactory, ClusterFactory, TestCluster

LOG_LINES_IN_REPORT = 40
_CLUSTERS = pytest.StashKey[list[Any]]()
_CLASHES = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    """Look where another project's package and one of ours have the same name; the header says it.

    It is no warning: a project that turns warnings into errors, and uses none of our fixtures, is not to be stopped.
    """
    from guildmark.testing.shadows import NEEDED, find_clashes

    config.stash[_CLUSTERS] = []
    config.stash[_CLASHES] = [
        f"{clash}"
        + ("; the guildmark fixtures cannot work here" if clash.foreign_wins and clash.name in NEEDED else "")
        for clash in find_clashes()
    ]


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Say it at load."""
    return [f"guildmark: name clash: {text}" for text in config.stash[_CLASHES]]


@pytest.fixture(scope="session")
def guildmark_options() -> dict[str, Any]:
    """Keyword arguments of `guildmark_cluster_factory` for `guildmark_cluster`. Override it to change that network."""
    return {}


@pytest.fixture(scope="session")
def guildmark_cluster_factory(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ClusterFactory]:
    """Make and start networks: `factory(validators=4, genesis={...}, node={...}, organizations=[...])`.

    They run until the session ends, or until their `stop`.
    """
    _refuse_shadows()
    from guildmark.testing.clusters import ClusterFactory

    factory = ClusterFactory(tmp_path_factory, request.config.stash[_CLUSTERS])
    try:
        yield factory
    finally:
        factory.close()


@pytest.fixture(scope="session")
def guildmark_cluster(
    guildmark_cluster_factory: ClusterFactory, guildmark_options: dict[str, Any]
) -> Iterator[TestCluster]:
    """A running development network of four validators: `kill`, `pause`, `resume`, `restart`, `heal`, `advance`, and
    `add_observer`, which lets one more node join and returns its index."""
    cluster = guildmark_cluster_factory(**guildmark_options)
    yield cluster
    cluster.stop()


@pytest.fixture
def guildmark_client(guildmark_cluster: TestCluster) -> Iterator[Client]:
    """A client of the network's first account, through all nodes."""
    guildmark_cluster.heal()
    with guildmark_cluster.client(guildmark_cluster.accounts[0]) as client:
        yield client


@pytest.fixture
def guildmark_account(guildmark_cluster: TestCluster) -> AccountFactory:
    """Open a new account with credits: `guildmark_account(credits=5_000, organization="birch") -> Account`."""
    return guildmark_cluster.open_account


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep the networks of a failed test, and add where they are and what they said to its report."""
    report = yield
    clusters = item.config.stash.get(_CLUSTERS, [])
    if report.failed and clusters and "guildmark_cluster_factory" in getattr(item, "fixturenames", ()):
        for cluster in clusters:
            cluster.keep()
            log = cluster.write_merged_log()
            text = f"directory: {cluster.directory}\nmerged log: {log}\n{cluster.merged_log(LOG_LINES_IN_REPORT)}"
            report.sections.append(("guildmark cluster", text))
    return report


def _refuse_shadows() -> None:
    """Raise a clear error where a fixture would import another project's package as ours."""
    from guildmark.testing.shadows import NEEDED, find_clashes

    hidden = [str(clash) for clash in find_clashes(NEEDED) if clash.foreign_wins]
    if hidden:
        pytest.fail(
            "guildmark's fixtures need packages that another project hides in this test process:\n  "
            + "\n  ".join(hidden)
            + "\nRename or move the other package, or run these tests from another directory.",
            pytrace=False,
        )
