"""The consortium's organizations: how each stands, and what of its quota it uses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from guildmark.client import AsyncClient

_PAGE = 200
"""What a node lists in one answer."""


class AsyncOrganizations:
    """Reading only: organizations change by `governance`."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def get(self, organization: str) -> dict[str, Any]:
        """An organization by its id: membership (`active`, `suspended`, `removed`), quota and use."""
        found: dict[str, Any] = await self._client.query("organizations.get", organization=organization)
        return found

    async def all(self) -> list[dict[str, Any]]:
        """All organizations in order of id, those included that were removed."""
        found: list[dict[str, Any]] = await self._client.query("organizations.list")
        return found

    async def accounts(self, organization: str) -> list[dict[str, Any]]:
        """All accounts of an organization, in order of id."""
        found: list[dict[str, Any]] = []
        while len(found) % _PAGE == 0:
            after = {"after": found[-1]["account"]} if found else {}
            page = await self._client.query("accounts.list", organization=organization, **after)
            if not page:
                break
            found += page
        return found
