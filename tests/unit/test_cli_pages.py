"""Commands list everything, however many pages it takes."""

from __future__ import annotations

from typing import Any

import pytest

from guildmark.cli.pages import PAGE, every
from ledger.modules import texts


@pytest.mark.parametrize("count", [0, 1, PAGE - 1, PAGE, PAGE + 1, 2 * PAGE + 7])
def test_every_page_is_asked_for_and_nothing_is_listed_twice(count: int) -> None:
    rows = [{"id": f"{number:04}"} for number in range(count)]

    def ask(after: str | None) -> list[dict[str, Any]]:
        return [row for row in rows if after is None or row["id"] > after][:PAGE]

    assert every(ask, "id") == rows


def test_a_page_is_what_a_node_lists() -> None:
    assert PAGE == texts.PAGE_MAX
