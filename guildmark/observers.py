"""Observers: the nodes with which an organization follows the chain without voting."""

from __future__ import annotations

import asyncio
import base64
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from guildmark.cluster.interpreter import run_node
from guildmark.errors import InvalidArgument
from ledger.modules.observers.operations import Register, Withdraw

if TYPE_CHECKING:
    from guildmark.client import AsyncClient
    from guildmark.transactions import Outcome

ADDRESS: Final = re.compile(r"[^\s:]+(:[^\s:]+)*:[0-9]{1,5}")
_PAGE: Final = 200
"""What a node lists in one answer."""


class Registration(msgspec.Struct, frozen=True):
    """What `registration_of` has a node's own key sign, in the node's words."""

    node_id: str
    tls_certificate: str
    """Base64 of the DER certificate."""
    address: str
    proof: str
    """Hex of the signature."""


class AsyncObservers:
    """For accounts that speak for an organization: those of the genesis, or of the organization's founding."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def register(self, directory: Path | str, address: str = "") -> dict[str, Any]:
        """Let the node in `directory`, whose keys `guildmark node keys create` has made, connect to the network.

        `address` is host:port where others reach it; empty for a node that is never dialed. Returns the registration.
        Sent again it changes the address; where it would change nothing, nothing is sent, and `transaction` is None.

        Raises:
            ClusterError: `node.keys`, the directory holds no keys. Refused: `observers.*`.
        """
        network, organization = await self._client.network_id(), await self._organization()
        signed = await asyncio.to_thread(registration_of, Path(directory), network, organization, address)
        if any(_says(known, signed) for known in await self.all(organization)):
            return _registration(signed, organization, None)
        operation = Register(
            signed.node_id, base64.b64decode(signed.tls_certificate), signed.address, bytes.fromhex(signed.proof)
        )
        outcome = await self._client.submit_and_wait(operation)
        return _registration(signed, organization, outcome)

    async def withdraw(self, node_id: str) -> dict[str, Any]:
        """Let an observer of the account's organization connect no more. Raises Refused `observers.*`."""
        outcome = await self._client.submit_and_wait(Withdraw(node_id))
        return {"node_id": node_id, "transaction": outcome.id, "height": outcome.height}

    async def all(self, organization: str = "") -> list[dict[str, Any]]:
        """The observers of one organization, or of all, in order of node id."""
        found: list[dict[str, Any]] = []
        while len(found) % _PAGE == 0:
            after = found[-1]["node_id"] if found else ""
            page = await self._client.query("observers.list", organization=organization, after=after)
            if not page:
                break
            found += page
        return found

    async def _organization(self) -> str:
        account = await self._client.query("accounts.get", account=self._client.signer().text)
        return str(account["organization"])


def _says(known: dict[str, Any], signed: Registration) -> bool:
    """Whether the ledger says of a node already what a registration would make it say."""
    return all(known[name] == getattr(signed, name) for name in ("node_id", "tls_certificate", "address"))


def _registration(signed: Registration, organization: str, outcome: Outcome | None) -> dict[str, Any]:
    return {
        "node_id": signed.node_id,
        "organization": organization,
        "address": signed.address,
        "transaction": None if outcome is None else outcome.id,
        "height": None if outcome is None else outcome.height,
    }


def registration_of(directory: Path, network_id: bytes, organization: str, address: str) -> Registration:
    """Let the key of the node in `directory` sign its registration.

    Raises:
        ClusterError: `node.keys`. InvalidArgument: the address is not host:port.
    """
    arguments = [f"--network-id={network_id.hex()}", f"--organization={organization}", f"--address={address}"]
    if address and ADDRESS.fullmatch(address) is None:
        raise InvalidArgument("node.address", f"{address!r} is not host:port")
    return msgspec.json.decode(run_node("keys", "register", str(directory.resolve()), *arguments), type=Registration)
