"""What can be seen of a ledger, in one shape for the real one and for the reference: tables of plain values.

Of the real ledger its records are read, and decoded anew each time; nothing here changes anything.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec

from ledger import deadlines
from ledger.modules.assets.records import (
    ALIASES,
    ARTIFACTS,
    ASSETS,
    BOUGHT,
    CONSENTS,
    CONTRIBUTORS,
    HELD,
    LINKS,
    OWNERSHIP,
    SHARE_LOCKS,
    TENSORS,
    VERSIONS,
    Link,
    version_part,
)
from ledger.modules.assets.registration import COMMITMENTS as ARTIFACT_COMMITMENTS
from ledger.modules.assets.reservations import RESERVED
from ledger.modules.contributions.records import BOUNTIES, COMMENTS, CONTRIBUTIONS, Contribution
from ledger.modules.credits.records import BALANCES, ESCROWS
from ledger.modules.development.clock import clock_offset_ms
from ledger.modules.disputes.records import DISPUTES, Ballots, Dispute, about
from ledger.modules.licenses.grants import state_at
from ledger.modules.licenses.purchases import COMMITMENTS as PURCHASE_COMMITMENTS
from ledger.modules.licenses.records import EDITIONS, GRANTS, OFFERS, SEATS, TERMS, Grant
from ledger.modules.market import records as market
from ledger.modules.market.sales import COMMITMENTS as SALE_COMMITMENTS
from ledger.modules.observers.records import OBSERVERS
from ledger.modules.organizations.records import ACCOUNTS, ORGANIZATIONS, RECOVERIES, USAGE
from ledger.modules.reputation.reading import Book
from ledger.modules.reputation.returns import read_flows
from ledger.modules.royalties.pools import owed
from ledger.modules.royalties.records import DEBTS, OWED, POOLS, STACKS, Entry, creators_pool, narrow
from ledger.modules.transfers.records import TRANSFERS
from ledger.state.view import StateView
from tests.property.attestations_observation_kit import Seen, attestations_in_chain, attestations_in_reference
from tests.property.charter_observation_kit import reference_charters, seen_charters
from tests.property.decision_observation_kit import seen_decisions
from tests.reference import reputation
from tests.reference.contributions import accepted_for, named
from tests.reference.grants import state_of
from tests.reference.locks import Thing, lock_of, open_things


def seen_in_reference(state: Any) -> Seen:
    """Return what the reference ledger shows."""
    return {
        "clock": {"offset": state.offset},
        "balances": {holder: amount for holder, amount in state.balances.items() if amount},
        "escrows": dict(state.escrows),
        "accounts": {
            key: (account["organization"], account["name"], account["vouches"], account["frozen"], account["keys"])
            for key, account in state.accounts.items()
        },
        "commitments": dict(state.commitments),
        "claims": dict(state.claims),
        "tensors": dict(state.tensors),
        "reserved": {_key_bytes(key): reserved for key, reserved in state.reserved.items()},
        "contributions": dict(state.contributions),
        "bounties": {
            key: {
                **row,
                "amount": state.escrows[key][1],
                "named": named(state, key),
                "accepted": accepted_for(state, key),
            }
            for key, row in state.bounties.items()
        },
        "recoveries": dict(state.recoveries),
        "observers": dict(state.observers),
        "consents": dict(state.consents),
        "locked shares": _locked_shares(state),
        "transfers": dict(state.transfers),
        "listings": dict(state.listings),
        "auctions": dict(state.auctions),
        "buyers' offers": dict(state.buyers_offers),
        "seats": dict(state.seats),
        "bought": dict(state.bought),
        "debts": dict(state.debts),
        "disputes": dict(state.disputes),
        "motions": dict(state.motions),
        "parameters": {"now": state.parameters, "next": state.next_limits, "end": state.epoch_end},
        "supply": {"all": state.supply},
        "down": dict(state.down),
        "terms": dict(state.terms),
        "offers": {key: tuple(offer.values()) for key, offer in state.offers.items()},
        "deadlines": dict.fromkeys(state.deadlines, True),
        "usage": dict(Counter(state.deadlines.values())),
        "received": {pool: amount for pool, amount in state.received.items() if amount},
        "owed": {key: parts for key, parts in state.owed.items() if parts},
        "grants": {key: _grant(state, key, grant) for key, grant in state.grants.items()},
        "editions": _editions(state),
        "flows": reputation.moved(state),
        "reputation": reputation.scores(state, state.now),
        **reference_charters(state),
        **attestations_in_reference(state),
        **_reference_assets(state),
    }


def _key_bytes(claimed: str | bytes) -> bytes:
    return claimed.encode() if isinstance(claimed, str) else claimed


def _locked_shares(state: Any) -> dict[Any, int]:
    locked: Counter[bytes] = Counter()
    for _, (kind, asset, bps), holder in open_things(state):
        if kind == "share":
            locked[asset + holder] += bps
    return dict(locked)


def _reference_assets(state: Any) -> Seen:
    names = ("kind", "name", "description", "tags", "metadata", "visibility", "organization", "manager", "creators")
    names += ("resale", "least", "gifts", "commercial", "transfers", "retired", "aliases", "shares")
    names += ("recall", "recalls")
    tables: Seen = {"assets": {}, "versions": {}, "links": {}, "stacks": {}}
    for key, asset in state.assets.items():
        freezes = sum(row["freezing"] and row["asset"] == key for row in state.disputes.values())
        counts = (sorted(asset["denied"]), lock_of(state, "asset", key), len(asset["versions"]), freezes)
        tables["assets"][key] = (*(asset[name] for name in names), *counts)
        for index, version in enumerate(asset["versions"]):
            tables["versions"][key, index + 1] = (
                version["cid"],
                version["available"],
                sorted(version["held"]),
                version["maker"],
            )
        for parent, link in asset["links"].items():
            tables["links"][key, parent] = link
        rests = tuple(asset[f"{name}_rest"] for name in ("fee", "resale", "grant_resale", "share_resale"))
        if asset["stack"] or any(rests):
            tables["stacks"][key] = (*rests, asset["stack"])
    return tables


def _grant(state: Any, key: bytes, grant: dict[str, Any]) -> dict[str, Any]:
    return {**grant, "at block time": state_of(state, grant), "lock": lock_of(state, "grant", key)}


def _editions(state: Any) -> dict[Any, tuple[int, int]]:
    """How many numbers were given out, and how many of them are not returned."""
    issued = Counter((grant["asset"], grant["terms"]) for grant in state.grants.values())
    returned = Counter(
        (grant["asset"], grant["terms"]) for grant in state.grants.values() if grant["state"] == "refunded"
    )
    return {key: (count, count - returned[key]) for key, count in issued.items()}


def seen_in_chain(view: StateView, now_ms: int) -> Seen:
    """Return what the real ledger shows at block time `now_ms`."""
    books = {"assets": ARTIFACT_COMMITMENTS, "licenses": PURCHASE_COMMITMENTS, "market": SALE_COMMITMENTS}
    return {
        "clock": {"offset": clock_offset_ms(view)},
        "balances": {holder: balance.amount for holder, balance in BALANCES.items(view)},
        "escrows": {key: (escrow.payer, escrow.amount) for key, escrow in ESCROWS.items(view)},
        "accounts": {
            key: (
                account.organization,
                account.name,
                account.vouches,
                account.frozen_until_ms,
                {one.key: one.role for one in account.keys},
            )
            for key, account in ACCOUNTS.items(view)
        },
        "commitments": {
            (module, key[:32], key[32:]): (record.committed_at_ms, record.expires_at_ms)
            for module, book in books.items()
            for key, record in book.table.items(view)
        },
        "observers": {
            node.decode(): {
                "organization": row.organization,
                "certificate": row.tls_certificate,
                "address": row.address,
                "since": row.registered_at_ms,
            }
            for node, row in OBSERVERS.items(view)
        },
        "claims": {cid.decode(): (claim.asset, claim.version) for cid, claim in ARTIFACTS.items(view)},
        "tensors": {digest: (claim.asset, claim.version) for digest, claim in TENSORS.items(view)},
        "consents": {(key[:32], key[64:], key[32:64]): record.expires_at_ms for key, record in CONSENTS.items(view)},
        "locked shares": {key: record.bps for key, record in SHARE_LOCKS.items(view)},
        "offers": {
            key: (
                offer.asset,
                offer.version,
                offer.terms,
                offer.maker,
                offer.buyer,
                offer.transfers,
                offer.expires_at_ms,
            )
            for key, offer in OFFERS.items(view)
        },
        "deadlines": {(one.at_ms, one.kind, one.subject): True for one in deadlines.due(view, 2**62, 2**62)},
        "usage": {key.decode(): usage.deadlines for key, usage in USAGE.items(view) if usage.deadlines},
        "received": {pool: units for pool, record in POOLS.items(view) if (units := narrow(record.received))},
        **seen_charters(view, now_ms),
        "owed": _owed(view),
        "grants": {key: _chain_grant(grant, now_ms) for key, grant in GRANTS.items(view)},
        "terms": {key: msgspec.structs.asdict(record) for key, record in TERMS.items(view)},
        "seats": {key: record.accounts for key, record in SEATS.items(view)},
        "editions": {(key[:32], key[32:]): (record.issued, record.outstanding) for key, record in EDITIONS.items(view)},
        "flows": _chain_flows(view),
        "reputation": _chain_reputation(view, now_ms),
        **_chain_assets(view),
        **_chain_sales(view),
        **_chain_disputes(view),
        **attestations_in_chain(view, now_ms),
        **_chain_contributions(view),
        **seen_decisions(view),
    }


def _thing(thing: Any) -> Thing:
    return (thing.kind, thing.id, thing.bps)


def _condition(condition: market.Condition) -> dict[str, Any]:
    return {name: getattr(condition, name) for name in condition.__struct_fields__}


def _sale(sale: market.Sale) -> dict[str, Any]:
    return {
        "thing": _thing(sale.thing),
        "asset": sale.asset,
        "holder": sale.seller,
        "opened": sale.opened_at_ms,
        "ends": sale.ends_at_ms,
        "condition": _condition(sale.condition),
    }


def _pricing(pricing: market.English | market.Dutch) -> dict[str, Any]:
    if isinstance(pricing, market.Dutch):
        return {
            "format": "dutch",
            "start_price": pricing.start_price,
            "floor": pricing.floor_price,
            "steps": pricing.steps,
        }
    best = pricing.best
    return {
        "format": "english",
        "reserve": pricing.reserve,
        "increment": pricing.increment,
        "extension": pricing.extension_ms,
        "hard_end": pricing.hard_end_ms,
        "best": best and (best.bidder, best.amount, best.at_ms),
    }


def _chain_sales(view: StateView) -> Seen:
    return {
        "transfers": {
            key: {
                "thing": _thing(row.thing),
                "asset": row.asset,
                "holder": row.giver,
                "recipient": row.recipient,
                "price": row.price,
                "royalty": row.royalty_held,
                "expires": row.expires_at_ms,
            }
            for key, row in TRANSFERS.items(view)
        },
        "listings": {key: {**_sale(row), "price": row.price} for key, row in market.LISTINGS.items(view)},
        "auctions": {key: {**_sale(row), **_pricing(row.pricing)} for key, row in market.AUCTIONS.items(view)},
        "buyers' offers": {
            key: {
                "thing": _thing(row.thing),
                "asset": row.asset,
                "holder": row.holder,
                "buyer": row.buyer,
                "price": row.price,
                "expires": row.expires_at_ms,
                "condition": _condition(row.condition),
            }
            for key, row in market.OFFERS.items(view)
        },
        "recoveries": {
            key: {
                "key": row.owner_key,
                "completable": row.completable_at_ms,
                "lapses": row.lapses_at_ms,
                "forgotten": row.forgotten_at_ms,
                "state": row.state,
            }
            for key, row in RECOVERIES.items(view)
        },
    }


def _chain_contributions(view: StateView) -> Seen:
    return {
        "reserved": {key: (row.account, row.contribution) for key, row in RESERVED.items(view)},
        "contributions": {key: _contribution(view, key, row) for key, row in CONTRIBUTIONS.items(view)},
        "bounties": {
            key: {
                "asset": row.asset,
                "opener": row.opener,
                "closes": row.closes_at_ms,
                "awarded": row.awarded,
                "amount": row.amount,
                "named": row.named,
                "due": row.due_ms,
                "condition": row.condition and msgspec.structs.astuple(row.condition),
                "accepted": row.accepted,
            }
            for key, row in BOUNTIES.items(view)
        },
    }


def _contribution(view: StateView, key: bytes, row: Contribution) -> dict[str, Any]:
    said = [(one.account, one.text, one.at_ms) for _, one in COMMENTS.items(view, key)]
    assert row.comments == len(said)
    artifact = row.artifact
    return {
        "asset": row.asset,
        "maker": row.contributor,
        "artifact": (artifact.cid, artifact.size_bytes, artifact.tensors_digest),
        "from": row.parent_version,
        "right": row.right,
        "grant": row.grant,
        "parents": tuple((one.parent, one.right, one.grant) for one in row.provenance.derivations),
        "metrics": tuple(msgspec.structs.astuple(one) for one in row.provenance.metrics),
        "message": row.message,
        "least": row.share_bps_min,
        "bounty": row.bounty,
        "transfers": row.transfers,
        "expires": row.expires_at_ms,
        "comments": said,
        "version": row.version,
        "given": row.share_bps,
        "accepted": row.accepted_at_ms,
        "manager": row.manager,
    }


def _chain_disputes(view: StateView) -> Seen:
    return {
        "bought": {
            (key[:32], key[32:]): {source.account: source.bps for source in row.sources}
            for key, row in BOUGHT.items(view)
        },
        "debts": {
            key: {
                "debtor": row.debtor,
                "creditor": row.creditor,
                "amount": row.amount,
                "owed": row.owed,
                "asset": row.asset,
                "dispute": row.dispute,
            }
            for key, row in DEBTS.items(view)
        },
        "disputes": {key: _dispute(row) for key, row in DISPUTES.items(view)},
    }


def _dispute(row: Dispute) -> dict[str, Any]:
    said = {"claim": row.claim, "answer": row.answer, "appeal": row.appeal}
    return {
        "about": about(row.subject, row.asset),
        "subject": (row.subject.kind, row.subject.id, row.subject.version),
        "asset": row.asset,
        "ground": row.ground,
        "relief": row.relief,
        "amount": row.amount,
        "organization": row.organization,
        "respondents": tuple((one.account, one.bps) for one in row.respondents),
        "arbiters": row.arbiters,
        "recalls": row.recalls,
        **{name: part and (part.account, part.bond) for name, part in said.items()},
        "votes": _votes(row.votes),
        "appeal_votes": _votes(row.appeal_votes),
        "first": row.first,
        "outcome": row.outcome,
        "freezing": row.freezing,
        "refunded": row.refunded,
        "taken": row.taken_bps,
        "owed": row.owed,
        "state": row.state,
        "due": row.due_ms,
    }


def _votes(ballots: Ballots) -> dict[str, bool]:
    return dict.fromkeys(ballots.upholding, True) | dict.fromkeys(ballots.refusing, False)


def _chain_grant(grant: Grant, now_ms: int) -> dict[str, Any]:
    revoked = grant.revocation
    return {
        "asset": grant.asset,
        "version": grant.version,
        "terms": grant.terms,
        "licensee": grant.licensee,
        "edition": grant.edition,
        "price": grant.price,
        "state": grant.state,
        "start": grant.start_ms,
        "end": grant.end_ms,
        "due": grant.due_ms,
        "exempt": grant.exempt,
        "approved": grant.approved,
        "used": grant.used,
        "quota": grant.quota,
        "terms_paid": grant.terms_paid,
        "renewed_from": grant.renewed_from_ms,
        "usage_due": grant.usage_due_ms,
        "revocation": revoked and {"cause": revoked.cause, "by": revoked.by, "effect": revoked.effect_ms},
        "refunded": grant.refunded,
        "predecessor": grant.predecessor,
        "successor": grant.successor,
        "superseded_at": grant.superseded_at_ms,
        "disputed": grant.disputed,
        "at block time": state_at(grant, now_ms),
        "lock": grant.locked_by,
    }


def _chain_assets(view: StateView) -> Seen:
    tables: Seen = {"assets": {}, "versions": {}, "links": {}, "stacks": {}}
    aliases: dict[bytes, dict[str, int]] = {}
    for key, target in ALIASES.items(view):
        aliases.setdefault(key[:32], {})[key[32:].decode()] = target.version
    for key, asset in ASSETS.items(view):
        terms, owners = asset.transfer_terms, OWNERSHIP.get(view, key)
        assert owners is not None
        assert owners.transfers == asset.transfers
        described = (asset.kind, asset.name, asset.description, asset.tags, asset.metadata)
        fixed = (*described, asset.visibility, asset.organization, asset.manager)
        creators = {share.account: share.bps for share in asset.creators}
        asked = (creators, terms.resale_royalty_bps, terms.least_royalty, terms.gifts)
        shares = {share.account: share.bps for share in owners.shares}
        now = (asset.commercial, asset.transfers, asset.retired, aliases.get(key, {}), shares)
        counts = (list(asset.denied_uses), asset.locked_by, asset.versions, asset.freezes)
        tables["assets"][key] = (*fixed, *asked, *now, asset.recall, asset.recalls, *counts)
        assert asset.aliases == len(aliases.get(key, {}))
    held: dict[bytes, list[bytes]] = {}
    for key, _ in HELD.items(view):
        held.setdefault(key[:36], []).append(key[36:])
    for key, version in VERSIONS.items(view):
        holders = held.get(key, [])
        number = int.from_bytes(key[32:], "big")
        assert version_part(number) == key[32:]
        made = CONTRIBUTORS.get(view, key)
        maker = made and (made.account, made.contribution)
        tables["versions"][key[:32], number] = (version.artifact.cid, version.available_at_ms, holders, maker)
    for key, link in LINKS.items(view):
        tables["links"][key[:32], key[32:]] = _link(link)
    for key, stack in STACKS.items(view):
        entries = {entry.ancestor: _entry(entry) for entry in stack.entries}
        rests = (
            stack.fee_remainder,
            stack.resale_remainder,
            stack.grant_resale_remainder,
            stack.share_resale_remainder,
        )
        if entries or any(rests):
            tables["stacks"][key] = (*rests, entries)
    return tables


def _chain_flows(view: StateView) -> dict[tuple[str, str], int]:
    moved, _ = read_flows(view)
    return {(payer, payee): units for payer, row in moved.items() for payee, units in row.items()}


def _chain_reputation(view: StateView, now_ms: int) -> dict[Any, tuple[int, int]]:
    book = Book(view, now_ms)
    found: dict[Any, tuple[int, int]] = {key: tuple(book.account(key)) for key, _ in ACCOUNTS.items(view)}
    found |= {key.decode(): tuple(book.organization(key.decode())) for key, _ in ORGANIZATIONS.items(view)}
    return {key: weights for key, weights in found.items() if any(weights)}


def _link(link: Link) -> dict[str, Any]:
    return {
        "right": link.right,
        "grant": link.grant,
        "same": link.same_organization,
        "version": link.version,
        "rate": link.rate_bps,
        "cap": link.cap,
        "least": link.least,
        "depth": link.depth,
        "terms": list(link.terms),
    }


def _entry(entry: Entry) -> dict[str, Any]:
    return {
        "rate": entry.rate_bps,
        "cap": entry.cap,
        "least": entry.least,
        "depth": entry.depth,
        "paid": entry.paid,
        "rest": entry.remainder,
    }


def _owed(view: StateView) -> dict[tuple[bytes, bytes], int]:
    """What everybody is owed of every pool, in ten-thousandths of a unit."""
    found = {}
    for key, asset in ASSETS.items(view):
        owners = OWNERSHIP.get(view, key)
        assert owners is not None
        for pool, shares in ((key, owners.shares), (creators_pool(key), asset.creators)):
            bps = {account: 0 for account, _ in OWED.items(view, pool)} | {one.account: one.bps for one in shares}
            for account, share in bps.items():
                units, parts = owed(view, pool, account, share)
                if units or parts:
                    found[pool, account] = units * 10_000 + parts
    return found


def differences(chain: Seen, reference: Seen) -> list[str]:
    """Say in words where two ledgers differ: what the chain has, but the reference."""
    found = []
    for table in sorted(chain.keys() | reference.keys()):
        theirs, ours = chain.get(table, {}), reference.get(table, {})
        unequal = [key for key in theirs.keys() | ours.keys() if theirs.get(key) != ours.get(key)]
        found += [f"{table} {_short(key)}: {_short(theirs.get(key))} but {_short(ours.get(key))}" for key in unequal]
    return found


def _short(value: Any) -> str:
    """Write ids by their first digits."""
    if isinstance(value, bytes):
        return value.hex()[:10]
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_short(key)}: {_short(item)}" for key, item in value.items()) + "}"
    if isinstance(value, tuple | list):
        return "(" + ", ".join(_short(item) for item in value) + ")"
    return repr(value)
