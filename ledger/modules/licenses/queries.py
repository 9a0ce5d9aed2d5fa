"""What may be asked about licenses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import takewhile
from typing import Any, Final, get_args

import msgspec

from ledger.errors import LedgerError
from ledger.modules import pages, texts
from ledger.modules.assets.named import named_asset
from ledger.modules.assets.records import ASSETS
from ledger.modules.credits.accounting import held
from ledger.modules.fields import AMOUNT_MAX, Result
from ledger.modules.licenses import check as checks
from ledger.modules.licenses.grants import paid, require_terms, state_at
from ledger.modules.licenses.operations import Right, Terms
from ledger.modules.licenses.records import (
    EDITIONS,
    GRANTS,
    GRANTS_BY_ASSET,
    GRANTS_BY_LICENSEE,
    OFFERS,
    OFFERS_BY_ASSET,
    SEATS_BY_ACCOUNT,
    TERMS,
    Editions,
    Grant,
    OfferRecord,
    Revocation,
)
from ledger.modules.licenses.standing import seats_named
from ledger.modules.licenses.tokens import get_token
from ledger.modules.licenses.usage import deposit_id
from ledger.state.view import Readable
from primitives.identifiers import account_to_text


class OfferResult(Result, frozen=True):
    offer: str
    asset: str
    version: int
    terms_digest: str
    terms: dict[str, Any]
    """The fields of the terms by name."""
    price: int
    maker: str
    buyer: str | None
    made_at_ms: int
    expires_at_ms: int
    open: bool
    """Neither expired nor void: the asset has the owner who offered, and is not retired, frozen or locked."""
    commitment_required: bool
    """Whether a purchase now needs `licenses.commit` first."""
    editions_left: int | None


class RevocationResult(Result, frozen=True):
    cause: str
    evidence: str | None
    by: str
    announced_at_ms: int
    effect_ms: int


class GrantResult(Result, frozen=True):
    grant: str
    asset: str
    asset_name: str
    version: int
    terms_digest: str
    terms: dict[str, Any]
    offer: str
    licensee: str
    edition: int
    price: int
    state: str
    """At the answer's block time: escrowed, scheduled, active, disputed, exhausted, expired, revoked, superseded or
    refunded."""
    granted_at_ms: int
    start_ms: int
    end_ms: int | None
    due_ms: int | None
    """While the payment is in escrow: when it returns (escrowed) or is paid out (active)."""
    approved: bool
    used: int
    quota: int | None
    """Units that may be used in all, over every term paid."""
    deposit: int
    """What is left for use."""
    usage_due_ms: int | None
    """While there is a deposit: when what is left of it returns."""
    paid: int
    """By the licensee, without what is in escrow or was paid back."""
    refunded: int
    terms_paid: int
    revocation: RevocationResult | None
    predecessor: str | None
    successor: str | None
    superseded_at_ms: int | None
    seats: tuple[str, ...]
    """Accounts that may use it beside the licensee."""


class CheckAnswer(Result, frozen=True):
    account: str
    asset: str
    right: str
    at_ms: int
    allowed: bool
    reason: str
    clause: str
    grant: str | None


class TermsResult(Result, frozen=True):
    terms_digest: str
    terms: dict[str, Any]


def get_offer(view: Readable, _network_id: bytes, block_time_ms: int, *, offer: str) -> OfferResult:
    """An offer with its terms. Withdrawn and expired offers are gone."""
    identifier = texts.identifier(offer)
    return _offer(view, identifier, pages.found(view, OFFERS, identifier, "offer"), block_time_ms)


def list_offers(
    view: Readable,
    _network_id: bytes,
    block_time_ms: int,
    *,
    asset: str,
    after: str = "",
    limit: int | str = texts.PAGE_MAX,
) -> list[OfferResult]:
    """The offers on an asset in order of id, beginning behind the offer `after`."""
    keys = pages.behind(view, OFFERS_BY_ASSET, named_asset(view, asset)[0], after=after)
    return [_offer(view, *row, block_time_ms) for row in pages.page(view, OFFERS, keys, limit)]


def get_terms(view: Readable, _network_id: bytes, _block_time_ms: int, *, terms: str) -> TermsResult:
    """Terms by digest."""
    return TermsResult(terms, terms_fields(pages.found(view, TERMS, texts.identifier(terms), "terms")))


def get_grant(view: Readable, _network_id: bytes, block_time_ms: int, *, grant: str) -> GrantResult:
    """A grant with its terms and its state at block time."""
    identifier = texts.identifier(grant)
    return _grant(view, identifier, pages.found(view, GRANTS, identifier, "grant"), block_time_ms)


def list_grants(
    view: Readable,
    _network_id: bytes,
    block_time_ms: int,
    *,
    account: str = "",
    asset: str = "",
    after: str = "",
    limit: int | str = texts.PAGE_MAX,
) -> list[GrantResult]:
    """The grants of an account, on an asset, or both, in order of asset and id. Refunded ones are listed by account
    only.

    `after` is the last grant's id of the page before.
    """
    if account:
        start = _after_key(view, after)
        account_id = texts.account(account)
        asset_part = named_asset(view, asset)[0] if asset else b""
        found = (key for key, _ in GRANTS_BY_LICENSEE.items(view, account_id, after=max(start, asset_part)))
        keys: Iterator[bytes] = (key[32:] for key in takewhile(lambda key: key.startswith(asset_part), found))
    elif asset:
        keys = pages.behind(view, GRANTS_BY_ASSET, named_asset(view, asset)[0], after=after)
    else:
        raise LedgerError("query.argument", "name an account or an asset")
    return [_grant(view, *row, block_time_ms) for row in pages.page(view, GRANTS, keys, limit)]


def list_seats(
    view: Readable,
    _network_id: bytes,
    block_time_ms: int,
    *,
    account: str,
    asset: str = "",
    after: str = "",
    limit: int | str = texts.PAGE_MAX,
) -> list[GrantResult]:
    """The grants of others of which an account has a seat, in order of asset and id; on one asset where it is named.

    `after` is the last grant's id of the page before.
    """
    start = _after_key(view, after)
    account_id = texts.account(account)
    asset_part = named_asset(view, asset)[0] if asset else b""
    found = (asset_part + key for key, _ in SEATS_BY_ACCOUNT.items(view, account_id, asset_part))
    rows = pages.page(view, GRANTS, (key[32:] for key in found if key > start), limit)
    named = (row for row in rows if account_id in seats_named(view, row[0], row[1].licensee))
    return [_grant(view, *row, block_time_ms) for row in named]


def check(
    view: Readable,
    _network_id: bytes,
    block_time_ms: int,
    *,
    account: str,
    asset: str,
    right: str = "download",
    at_ms: int | str | None = None,
    field_of_use: str | None = None,
    country: str | None = None,
) -> CheckAnswer:
    """May the account exercise the right? At block time unless `at_ms` says otherwise; in one field of use and one
    country (ISO 3166-1 alpha-2) where they are named."""
    asset_id, _ = named_asset(view, asset)
    if right not in checks.RIGHTS:
        raise LedgerError("query.argument", f"no right {right[:80]!r}; there are {', '.join(get_args(Right))}")
    time_ms = block_time_ms if at_ms is None else texts.number(at_ms)
    answer = checks.check(view, texts.account(account), asset_id, right, time_ms, field_of_use, country)
    grant = None if answer.grant is None else answer.grant.hex()
    return CheckAnswer(account, asset, right, time_ms, answer.allowed, answer.reason, answer.clause, grant)


def _offer(view: Readable, identifier: bytes, record: OfferRecord, block_time_ms: int) -> OfferResult:
    terms = require_terms(view, record.terms)
    asset = ASSETS.get(view, record.asset)
    assert asset is not None
    editions = EDITIONS.get(view, record.asset, record.terms) or Editions()
    left = None if terms.editions_max is None else terms.editions_max - editions.outstanding
    frozen = asset.freezes > 0 or asset.recall is not None
    barred = asset.retired or frozen or asset.locked_by is not None
    return OfferResult(
        offer=identifier.hex(),
        asset=record.asset.hex(),
        version=record.version,
        terms_digest=record.terms.hex(),
        terms=terms_fields(terms),
        price=terms.price,
        maker=account_to_text(record.maker),
        buyer=None if record.buyer is None else account_to_text(record.buyer),
        made_at_ms=record.made_at_ms,
        expires_at_ms=record.expires_at_ms,
        open=not barred and asset.transfers == record.transfers and block_time_ms < record.expires_at_ms and left != 0,
        commitment_required=terms.exclusivity == "exclusive" or left == 1,
        editions_left=left,
    )


def _grant(view: Readable, identifier: bytes, record: Grant, block_time_ms: int) -> GrantResult:
    terms = require_terms(view, record.terms)
    asset = ASSETS.get(view, record.asset)
    assert asset is not None
    return GrantResult(
        grant=identifier.hex(),
        asset=record.asset.hex(),
        asset_name=asset.name,
        version=record.version,
        terms_digest=record.terms.hex(),
        terms=terms_fields(terms),
        offer=record.offer.hex(),
        licensee=account_to_text(record.licensee),
        edition=record.edition,
        price=record.price,
        state=state_at(record, block_time_ms),
        granted_at_ms=record.granted_at_ms,
        start_ms=record.start_ms,
        end_ms=record.end_ms,
        due_ms=record.due_ms,
        approved=record.approved,
        used=record.used,
        quota=record.quota,
        deposit=held(view, deposit_id(identifier)),
        usage_due_ms=record.usage_due_ms,
        paid=min(paid(record, terms), AMOUNT_MAX),
        refunded=record.refunded,
        terms_paid=record.terms_paid,
        revocation=None if record.revocation is None else _revocation(record.revocation),
        predecessor=None if record.predecessor is None else record.predecessor.hex(),
        successor=None if record.successor is None else record.successor.hex(),
        superseded_at_ms=record.superseded_at_ms,
        seats=tuple(account_to_text(account) for account in seats_named(view, identifier, record.licensee)),
    )


def _revocation(record: Revocation) -> RevocationResult:
    return RevocationResult(
        record.cause, record.evidence, account_to_text(record.by), record.announced_at_ms, record.effect_ms
    )


def terms_fields(terms: Terms) -> dict[str, Any]:
    """Return the fields of terms as values for JSON."""
    return {name: msgspec.to_builtins(getattr(terms, name)) for name in terms.__struct_fields__}


def _after_key(view: Readable, after: str) -> bytes:
    if not after:
        return b""
    identifier = texts.identifier(after)
    return pages.found(view, GRANTS, identifier, "grant").asset + identifier


QUERIES: Final[dict[str, Callable[..., Any]]] = {
    "licenses.offer": get_offer,
    "licenses.offers": list_offers,
    "licenses.terms": get_terms,
    "licenses.grant": get_grant,
    "licenses.grants": list_grants,
    "licenses.seats": list_seats,
    "licenses.check": check,
    "licenses.token": get_token,
}
