"""Signed reads of artifacts: who is refused, with which status and code."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable

import aiohttp
import pytest
from node_http_kit import NOW_MS, Served, problem, served

from artifacts import cid as cids
from artifacts.errors import ArtifactTakenDown
from primitives.digest import domain
from primitives.identifiers import account_to_text, key_to_text
from primitives.keys import SigningKey

DATA = b"the bytes of a model"
ROOT = cids.raw_cid(DATA)
OTHER_ROOT = cids.raw_cid(b"another artifact")
ASSET = "ab" * 32
KEY = SigningKey(bytes(range(32)))
STRANGER = SigningKey(bytes(range(1, 33)))
ACCOUNT = account_to_text(bytes(32))


def header(
    *,
    key: SigningKey = KEY,
    account: str = ACCOUNT,
    root: str = ROOT,
    method: str = "GET",
    network_id: bytes = bytes(32),
    expires_ms: int = NOW_MS + 30_000,
    named_expiry_ms: int | None = None,
) -> str:
    message = domain("artifact-request") + network_id + f"{root}\0{method}\0{expires_ms}".encode()
    return (
        f'Guildmark account="{account}",key="{key_to_text(key.public_key)}",'
        f'expires_ms="{named_expiry_ms or expires_ms}",signature="{key.sign(message).hex()}"'
    )


def prepare(api: Served, *, visibility: str = "licensed", allowed: bool = True, reason: str = "granted") -> None:
    services = api.services
    services.artifacts.registered[ROOT] = ASSET
    services.artifacts.blocks[ROOT] = DATA
    services.answers["assets.get", (("asset", ASSET),)] = {"visibility": visibility}
    services.answers["chain.head", ()] = {"clock_offset_ms": 0}
    services.answers["accounts.get", (("account", ACCOUNT),)] = {
        "keys": [{"key": key_to_text(KEY.public_key), "role": "owner"}]
    }
    services.answers["licenses.check", (("account", ACCOUNT), ("asset", ASSET), ("right", "download"))] = {
        "allowed": allowed,
        "reason": reason,
        "clause": "",
    }


@pytest.mark.parametrize(
    ("make", "status", "code"),
    [
        (lambda: "", 401, "artifact.unsigned"),
        (lambda: "Bearer abc", 401, "artifact.signature_malformed"),
        (lambda: header() + " ", 200, ""),
        (lambda: header() + ",x=1", 401, "artifact.signature_malformed"),
        (lambda: header(account=ACCOUNT[:-1] + "x"), 401, "artifact.signature_malformed"),
        (lambda: header(expires_ms=NOW_MS), 401, "artifact.signature_expired"),
        (lambda: header(expires_ms=NOW_MS + 70_000), 401, "artifact.signature_too_long"),
        (lambda: header(named_expiry_ms=NOW_MS + 40_000), 401, "artifact.bad_signature"),
        (lambda: header(root=OTHER_ROOT), 401, "artifact.bad_signature"),
        (lambda: header(method="PUT"), 401, "artifact.bad_signature"),
        (lambda: header(network_id=bytes(31) + b"x"), 401, "artifact.bad_signature"),
        (lambda: header(key=STRANGER), 401, "artifact.unknown_key"),
        (lambda: header(account=account_to_text(bytes(31) + b"x")), 401, "artifact.unknown_key"),
        (lambda: "Guildmark " + "a" * 5_000, 400, "request.malformed"),
        (header, 200, ""),
    ],
)
def test_only_a_fresh_signature_of_an_own_key_reads(make: Callable[[], str], status: int, code: str) -> None:
    async def check() -> None:
        async with served() as api, aiohttp.ClientSession() as session:
            prepare(api)
            headers = {"Authorization": text} if (text := make()) else {}
            answer = await session.get(f"{api.url}/v1/artifacts/{ROOT}/blocks/{ROOT}", headers=headers)
            body = await answer.read()
            assert answer.status == status, body
            if status == 200:
                assert body == DATA
            else:
                assert problem(body)["code"] == code
            if status == 401:
                assert answer.headers["WWW-Authenticate"] == "Guildmark"

    asyncio.run(check())


def test_no_right_is_403_with_the_ledgers_reason() -> None:
    async def check() -> None:
        async with served() as api, aiohttp.ClientSession() as session:
            prepare(api, allowed=False, reason="no_grant")
            answer = await session.get(
                f"{api.url}/v1/artifacts/{ROOT}/blocks/{ROOT}", headers={"Authorization": header()}
            )
            assert answer.status == 403
            assert problem(await answer.read())["code"] == "no_grant"

    asyncio.run(check())


def test_what_is_taken_down_is_451_to_everybody() -> None:
    async def check() -> None:
        async with served() as api, aiohttp.ClientSession() as session:
            prepare(api)

            async def refuse(root: str, _cid: str) -> bytes:
                raise ArtifactTakenDown(root)

            api.services.artifacts.read = refuse  # type: ignore[method-assign]  # as a shelf does
            answer = await session.get(
                f"{api.url}/v1/artifacts/{ROOT}/blocks/{ROOT}", headers={"Authorization": header()}
            )
            assert answer.status == 451
            assert problem(await answer.read())["code"] == "artifact.taken_down"

    asyncio.run(check())


def test_public_assets_are_read_unsigned() -> None:
    async def check() -> None:
        async with served() as api, aiohttp.ClientSession() as session:
            prepare(api, visibility="public")
            answer = await session.get(f"{api.url}/v1/artifacts/{ROOT}/blocks/{ROOT}")
            assert (answer.status, await answer.read()) == (200, DATA)

    asyncio.run(check())


@pytest.mark.parametrize(("allowed", "status", "code"), [(True, 200, ""), (False, 403, "artifact.proposed")])
def test_what_is_proposed_is_read_by_those_who_decide_on_it(allowed: bool, status: int, code: str) -> None:
    """Also of a public asset, and by nobody who only holds a license."""

    async def check() -> None:
        async with served() as api, aiohttp.ClientSession() as session:
            prepare(api, visibility="public")
            contribution = "cc" * 32
            answers = api.services.answers
            answers["contributions.by_artifact", (("cid", ROOT),)] = {"contribution": contribution}
            asked = (("account", ACCOUNT), ("contribution", contribution))
            answers["contributions.may_read", asked] = {"allowed": allowed}
            url = f"{api.url}/v1/artifacts/{ROOT}/blocks/{ROOT}"
            unsigned = await session.get(url)
            assert problem(await unsigned.read())["code"] == "artifact.unsigned"
            answer = await session.get(url, headers={"Authorization": header()})
            body = await answer.read()
            assert answer.status == status
            assert body == DATA if allowed else problem(body)["code"] == code

    asyncio.run(check())


def test_blocks_are_taken_for_registered_artifacts_only() -> None:
    async def check() -> None:
        async with served() as api, aiohttp.ClientSession() as session:
            url = f"{api.url}/v1/artifacts/{ROOT}/blocks/{ROOT}"
            refused = await session.put(url, data=DATA)
            assert refused.status == 409
            assert problem(await refused.read())["code"] == "artifact.not_registered"
            prepare(api)
            api.services.artifacts.blocks.clear()
            wrong = await session.put(url, data=b"other bytes")
            assert wrong.status == 400
            assert problem(await wrong.read())["code"] == "block.mismatch"
            assert (await session.put(url, data=DATA)).status == 201
            assert (await session.put(url, data=DATA)).status == 200
            large = await session.put(url, data=io.BytesIO(bytes((2 << 20) + 1)))
            assert large.status == 413

    asyncio.run(check())


def test_a_node_that_is_no_validator_sends_clients_of_artifacts_on() -> None:
    """503, so that they ask the next node."""

    async def check() -> None:
        async with served() as api, aiohttp.ClientSession() as session:
            prepare(api)
            api.services.kept = False
            url = f"{api.url}/v1/artifacts/{ROOT}/blocks/{ROOT}"
            read = await session.get(url, headers={"Authorization": header()})
            for answer in (read, await session.put(url, data=DATA)):
                assert answer.status == 503
                assert problem(await answer.read())["code"] == "artifact.not_kept_here"

    asyncio.run(check())
