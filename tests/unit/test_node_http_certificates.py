"""The routes of certificates and light blocks: each names its subject exactly, and refuses what names none."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from node_http_kit import problem, served

from guildmark.certificates import certificate_path
from ledger.certificates.subjects import (
    AbsenceSubject,
    AccountSubject,
    AssetSubject,
    GrantSubject,
    LicenseSubject,
    Subject,
    VersionSubject,
)
from ledger.certificates.subjects.absence import WHATS

ID = b"\xcd" * 32
CID = b"bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"
SUBJECTS: list[Subject] = [
    AssetSubject(ID),
    VersionSubject(ID, 7),
    LicenseSubject(ID),
    GrantSubject(ID),
    AccountSubject(ID),
    *(AbsenceSubject(what, CID if what == "artifact" else ID) for what in WHATS),
]


async def get(path: str) -> tuple[int, bytes]:
    async with served() as api, aiohttp.ClientSession() as session, session.get(api.url + path) as answer:
        return answer.status, await answer.read()


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: certificate_path(subject)[17:40])
def test_where_the_client_asks_is_where_the_node_answers(subject: Subject) -> None:
    path = certificate_path(subject)
    assert asyncio.run(get(path)) == (200, b"%r since None at None" % (subject,))
    assert asyncio.run(get(path + "?since=3&height=5")) == (200, b"%r since 3 at 5" % (subject,))


@pytest.mark.parametrize(
    "path",
    [
        f"assets/{ID.hex().upper()}",
        f"assets/{ID.hex()}/versions/0",
        f"assets/{ID.hex()}/versions/4294967296",
        f"grants/{ID.hex()}?since=-1",
        f"accounts/{ID.hex()}?height=1.5",
        f"absence/artifacts/{ID.hex()}",
        f"absence/assets/{CID.decode()}",
    ],
)
def test_what_names_no_subject_is_refused(path: str) -> None:
    """A1: before anybody looks for it."""
    status, body = asyncio.run(get("/v1/certificates/" + path))
    assert (status, problem(body)["code"]) == (400, "request.malformed")


def test_light_blocks_are_served_by_height_and_epoch() -> None:
    assert asyncio.run(get("/v1/light/blocks/latest")) == (200, b"light block 7")
    assert asyncio.run(get("/v1/light/blocks/3")) == (200, b"light block 3")
    assert asyncio.run(get("/v1/light/epochs/2")) == (200, b"end of epoch 2")
    assert asyncio.run(get("/v1/light/blocks/x"))[0] == 400
