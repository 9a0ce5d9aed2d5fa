"""The synchronous client has every method of the asynchronous one, with the same parameters."""

from __future__ import annotations

import asyncio
import inspect
import subprocess
import sys
import threading
from typing import Any

import pytest
from guildmark_kit import fake_node

import guildmark
from guildmark import (
    accounts,
    artifact_transfer,
    assets,
    certificates,
    client,
    contributions,
    decisions,
    disputes,
    governance,
    licenses,
    market,
    organizations,
    sync,
    transfers,
)

PAIRS = [
    (client.AsyncClient, sync.Client),
    (accounts.AsyncAccounts, sync.Accounts),
    (accounts.AsyncCredits, sync.Credits),
    (artifact_transfer.AsyncArtifacts, sync.Artifacts),
    (assets.AsyncAssets, sync.Assets),
    (certificates.AsyncCertificates, sync.Certificates),
    (contributions.AsyncContributions, sync.Contributions),
    (disputes.AsyncDisputes, sync.Disputes),
    (decisions.AsyncDecisions, sync.Decisions),
    (governance.AsyncGovernance, sync.Governance),
    (licenses.AsyncLicenses, sync.Licenses),
    (organizations.AsyncOrganizations, sync.Organizations),
    (market.AsyncMarket, sync.Market),
    (transfers.AsyncTransfers, sync.Transfers),
]


def public_coroutines(kind: type[Any]) -> set[str]:
    return {name for name, value in vars(kind).items() if inspect.iscoroutinefunction(value) and name[0] != "_"}


@pytest.mark.parametrize(("asynchronous", "synchronous"), PAIRS)
def test_both_surfaces_are_equal(asynchronous: type[Any], synchronous: type[Any]) -> None:
    wrapped = {name: value for name, value in vars(synchronous).items() if isinstance(value, sync.blocking)}
    assert set(wrapped) | ({"close"} if synchronous is sync.Client else set()) == public_coroutines(asynchronous)
    for name, value in wrapped.items():
        assert value.method is vars(asynchronous)[name], name


def test_a_method_keeps_its_signature_and_documentation() -> None:
    with fake_node() as node, sync.Client(node.url) as made:
        assert made.query.__doc__ == client.AsyncClient.query.__doc__
        assert made.assets.register.__name__ == "register"


def test_every_public_method_says_what_it_does() -> None:
    methods = [(kind, name) for kind, _ in PAIRS for name in public_coroutines(kind)]
    silent = [f"{kind.__name__}.{name}" for kind, name in methods if not vars(kind)[name].__doc__]
    assert silent == []


def test_a_client_is_usable_from_many_threads() -> None:
    heights: list[int] = []
    with fake_node() as node, sync.Client(node.url) as made:
        threads = [threading.Thread(target=lambda: heights.append(made.status()["height"])) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert heights == [7] * 8


def test_closing_ends_the_thread_and_twice_is_harmless() -> None:
    before = threading.active_count()
    with fake_node() as node:
        made = sync.Client(node.url)
        made.status()
        made.close()
        made.close()
    assert threading.active_count() <= before


def test_the_asynchronous_client_works_in_the_callers_loop() -> None:
    async def ask(url: str) -> int:
        async with client.AsyncClient(url) as made:
            return int((await made.status())["height"])

    with fake_node() as node:
        assert asyncio.run(ask(node.url)) == 7


def test_every_public_name_exists() -> None:
    assert all(getattr(guildmark, name) is not None for name in guildmark.__all__)
    with pytest.raises(AttributeError):
        _ = guildmark.nothing_of_that_name


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = "import guildmark, guildmark.errors, sys; print(sorted({m.split('.')[0] for m in sys.modules}))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(eval(run.stdout))
    assert loaded & {"aiohttp", "ledger", "artifacts", "cryptography", "rich", "tensorflow", "msgspec"} == set()


def test_every_error_names_an_exit_code_that_the_help_documents() -> None:
    from guildmark.cli.main import EXIT_CODES
    from guildmark.errors import GuildmarkError

    kinds: list[type[GuildmarkError]] = [GuildmarkError, *GuildmarkError.__subclasses__()]
    assert {kind.exit_code for kind in kinds} <= set(EXIT_CODES)
    assert {kind.exit_code for kind in kinds} == {1, 3, 4, 5, 6, 7}
