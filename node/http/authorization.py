"""Signed reads: who asks for an artifact's bytes, and may they?

    Authorization: Guildmark account="gm1...",key="did:key:...",expires_ms="...",signature="hex"

The signature covers domain "artifact-request", network id, root CID, method and expiry (network time, at most 60 s
ahead). The key must belong to the account at the executed height, and the ledger must allow `download` there.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from ledger.errors import LedgerError
from node.http.problems import Problem
from node.http.services import Services
from primitives.digest import domain
from primitives.identifiers import InvalidIdentifier, account_from_text, key_from_text
from primitives.keys import verify

LIFETIME_MS_MAX: Final = 60_000
CLOCK_TOLERANCE_MS: Final = 5_000
"""A client whose clock is a little ahead of ours may still ask for the full lifetime."""
_DOMAIN: Final = domain("artifact-request")
_CHALLENGE: Final = {"WWW-Authenticate": "Guildmark"}
_FORM: Final = re.compile(
    r"\AGuildmark account=\"(?P<account>[a-z0-9]{1,90})\",key=\"(?P<key>did:key:[A-Za-z0-9]{1,90})\","
    r"expires_ms=\"(?P<expires>0|[1-9][0-9]{0,15})\",signature=\"(?P<signature>[0-9a-f]{128})\"\Z",
    re.ASCII,
)


class SignedRead(msgspec.Struct, frozen=True):
    """A read whose signature verifies. Whether the key is the account's is a matter of the ledger."""

    account: str
    key: str


def verify_signed_read(header: str, *, network_id: bytes, root: str, method: str, network_time_ms: int) -> SignedRead:
    """Check the header of a read of the artifact `root`.

    Raises:
        Problem: 401 with `artifact.unsigned`, `artifact.signature_malformed`, `artifact.signature_expired`,
            `artifact.signature_too_long` or `artifact.bad_signature`.
    """
    if not header:
        raise _unauthorized("artifact.unsigned", "reads of licensed artifacts are signed by an account")
    match = _FORM.match(header)
    if match is None:
        raise _unauthorized("artifact.signature_malformed", "the Authorization header is not of the scheme Guildmark")
    try:
        account_from_text(match["account"])
        key = key_from_text(match["key"])
    except InvalidIdentifier as error:
        raise _unauthorized("artifact.signature_malformed", str(error)) from error
    expires_ms = int(match["expires"])
    if expires_ms <= network_time_ms:
        raise _unauthorized("artifact.signature_expired", "the signed request has expired")
    if expires_ms > network_time_ms + LIFETIME_MS_MAX + CLOCK_TOLERANCE_MS:
        raise _unauthorized("artifact.signature_too_long", f"a signed request holds for at most {LIFETIME_MS_MAX} ms")
    message = _DOMAIN + network_id + b"\x00".join([root.encode(), method.encode(), match["expires"].encode()])
    if not verify(key, message, bytes.fromhex(match["signature"])):
        raise _unauthorized("artifact.bad_signature", "the signature does not verify")
    return SignedRead(match["account"], match["key"])


async def require_review(services: Services, contribution: str, header: str, root: str, method: str) -> None:
    """Let pass who has to do with a contribution, by a signed request: its bytes are for those who decide on it.

    Raises:
        Problem: 401 as `require_download`; 403 `artifact.proposed`.
    """
    read = await _signed_read(services, header, root, method)
    arguments: dict[str, str | int] = {"contribution": contribution, "account": read.account}
    if not _field((await services.query("contributions.may_read", arguments)).result, "allowed"):
        detail = "what is proposed may be read by its contributor, the asset's owners and manager, and evaluators"
        raise Problem(403, "artifact.proposed", detail)


async def require_download(services: Services, asset: str, header: str, root: str, method: str) -> None:
    """Let pass who may download the asset's artifact: anyone where it is public, else by a signed request.

    Raises:
        Problem: 401 as above or `artifact.unknown_key`; 403 with the reason of `licenses.check` as its code.
    """
    record = await services.query("assets.get", {"asset": asset})
    if _field(record.result, "visibility") == "public":
        return
    read = await _signed_read(services, header, root, method)
    answer = (
        await services.query("licenses.check", {"account": read.account, "asset": asset, "right": "download"})
    ).result
    if not _field(answer, "allowed"):
        reason, clause = _field(answer, "reason"), _field(answer, "clause")
        detail = f"the ledger does not allow this account to download: {reason}"
        raise Problem(403, str(reason), detail, reason=reason, clause=clause)


async def asset_of_root(services: Services, cid: str) -> str | None:
    """Return the asset (hex) to which the artifact with this root belongs; None where it is nobody's."""
    try:
        claim = (await services.query("assets.by_artifact", {"cid": cid})).result
    except LedgerError as error:
        if error.code == "query.not_found":
            return None
        raise
    return str(_field(claim, "asset"))


async def contribution_of_root(services: Services, cid: str) -> str | None:
    """Return the open contribution (hex) that proposes the artifact with this root; None where there is none."""
    try:
        proposed = (await services.query("contributions.by_artifact", {"cid": cid})).result
    except LedgerError as error:
        if error.code == "query.not_found":
            return None
        raise
    return str(_field(proposed, "contribution"))


async def _signed_read(services: Services, header: str, root: str, method: str) -> SignedRead:
    """Check the header, and that the key is the account's. Raises Problem."""
    head = await services.query("chain.head", {})
    network_time_ms = services.now_ms() + int(_field(head.result, "clock_offset_ms"))
    read = verify_signed_read(
        header, network_id=services.network_id, root=root, method=method, network_time_ms=network_time_ms
    )
    if not await _key_belongs(services, read):
        raise _unauthorized("artifact.unknown_key", "the key is not one of the account's keys")
    return read


async def _key_belongs(services: Services, read: SignedRead) -> bool:
    try:
        account = (await services.query("accounts.get", {"account": read.account})).result
    except LedgerError as error:
        if error.code == "query.not_found":
            return False
        raise
    return any(_field(key, "key") == read.key for key in _field(account, "keys"))


def _field(value: Any, name: str) -> Any:
    """Read a member of a query's result, which may have crossed a process boundary as a plain value."""
    return value[name] if isinstance(value, dict) else getattr(value, name)


def _unauthorized(code: str, detail: str) -> Problem:
    return Problem(401, code, detail, headers=_CHALLENGE)
