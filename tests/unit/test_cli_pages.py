"""Commands list everything, however many pages it takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest
import rich_click as click
from guildmark_kit import Answer, Asked, fake_node, run, surround

from guildmark.cli.main import root
from guildmark.cli.pages import PAGE, every
from ledger.modules import texts
from primitives.identifiers import account_to_text

ASSET: Final = "ab" * 32
ACCOUNT: Final = account_to_text(bytes(32))


@pytest.mark.parametrize("count", [0, 1, PAGE - 1, PAGE, PAGE + 1, 2 * PAGE + 7])
def test_every_page_is_asked_for_and_nothing_is_listed_twice(count: int) -> None:
    rows = [{"id": f"{number:04}"} for number in range(count)]

    def ask(after: str | None) -> list[dict[str, Any]]:
        return [row for row in rows if after is None or row["id"] > after][:PAGE]

    assert every(ask, "id") == rows


def test_a_page_is_what_a_node_lists() -> None:
    assert PAGE == texts.PAGE_MAX


LISTS: Final = {
    ("asset", "list"): "asset",
    ("asset", "versions", ASSET): "version",
    ("attestation", "list", ASSET): "statement",
    ("bounty", "list"): "bounty",
    ("bounty", "list", ASSET): "bounty",
    ("charter", "proposals", ASSET): "proposal",
    ("contribution", "list", ASSET): "contribution",
    ("dispute", "list"): "dispute",
    ("dispute", "list", ASSET): "dispute",
    ("dispute", "debts", "--of", ACCOUNT): "debt",
    ("dispute", "debts", "--to", ACCOUNT): "debt",
    ("license", "grants", ASSET): "grant",
    ("license", "grants", "--for", ACCOUNT): "grant",
    ("license", "grants", "--seats", "--for", ACCOUNT): "grant",
    ("license", "offers", ASSET): "offer",
    ("market", "auctions"): "auction",
    ("market", "auctions", ASSET): "auction",
    ("market", "listings"): "listing",
    ("market", "listings", ASSET): "listing",
    ("market", "offers", ASSET): "offer",
    ("market", "offers", "--of", ACCOUNT): "offer",
    ("market", "prices", ASSET): "sale",
    ("transfer", "list", "--for", ACCOUNT): "transfer",
}
"""Commands that list what may be more than a page, and the member that is the cursor."""


@pytest.mark.parametrize("words", LISTS)
def test_a_list_goes_on_behind_its_first_page(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{LISTS[words]: f"{number:04}", "proposal": f"{number:04}", "proposed_at_ms": 0} for number in range(205)]

    def answer(asked: Asked) -> Answer:
        after = asked.query.get("after", "")
        page = [row for row in rows if str(row[LISTS[words]]) > after][:PAGE]
        return 200, {"height": 1, "block_time_ms": 1, "result": page}

    with fake_node() as node:
        node.routes[("GET", "/v1/query/")] = answer
        surround(monkeypatch, tmp_path, node.url, {})
        assert run(capsys, *words) == rows
        said = [asked.query for asked in node.asked]
        assert [asked.get("after") for asked in said] == [None, "0199"]
        assert ASSET not in words or all(ASSET in asked.values() for asked in said)


def test_a_list_takes_its_asset_as_an_argument() -> None:
    """One way for all: what a list is about stands behind it, whom it is about is an option."""
    for words in LISTS:
        group = root.get_command(click.Context(root), words[0])
        assert isinstance(group, click.Group)
        named = {option for parameter in group.commands[words[1]].params for option in parameter.opts}
        assert not named & {"--asset", "--on"}
