"""What accounts of a random ledger might do next: one function an operation, steered towards what can succeed.

A function looks at the reference's state and proposes (sender, operations); now and then it names a wrong sender or a
wrong value on purpose, because refusals are half of the rules. `SITUATIONS` is the table of all of them.
"""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, NamedTuple, TypeVar

from ledger.modules.assets import operations as assets
from ledger.modules.credits import operations as credits
from ledger.modules.development import operations as development
from ledger.modules.licenses import operations as licenses
from ledger.modules.organizations import operations as organizations
from ledger.modules.royalties import operations as royalties
from primitives.keys import SigningKey
from tests.reference.licenses import reserves, sold, state_of

DAY_MS = 86_400_000
KINDS = ("dataset", "dataset", "model", "software")
DERIVING = ("distill-merge", "fine-tune", "train-on")
RIGHTS = ("distill-merge", "download", "fine-tune", "inference", "train-on")
PRICES = (0, 1, 1, 7, 29, 29, 500, 500, 5_000, 5_000, 123_457, 123_457, 123_457, 10**8)
LIFETIMES_MS = (1_500, 15_000, 15_000, 120_000, DAY_MS, 20 * DAY_MS, 20 * DAY_MS)
TRIES = 2
UNKNOWN = b"\x07" * 32

T = TypeVar("T")
Draft = tuple[bytes, list[Any]]


class Nothing(Exception):
    """There is no such situation now."""


class Secret(NamedTuple):
    """What somebody has committed to: an artifact to register, or an offer to buy under."""

    subject: Any
    salt: bytes


class Notebook:
    """What the accounts know and the chain does not."""

    def __init__(self, *, lineages: bool = False) -> None:
        self.count = 0
        self.lineages = lineages
        """Whether this life is about long lines of derivatives: most terms then ask for little and allow much."""
        self.keys: dict[bytes, SigningKey] = {}
        self.secrets: dict[bytes, Secret] = {}
        self.tries: Counter[bytes] = Counter()
        """How often somebody has tried to use a secret: what is wrong with some of them is for ever."""
        self.opened: list[organizations.OpenAccount] = []

    def next(self, word: str) -> str:
        self.count += 1
        return f"{word} {self.count}"

    def new_key(self) -> bytes:
        key = SigningKey(hashlib.sha256(self.next("key").encode()).digest())
        self.keys[key.public_key] = key
        return key.public_key


class Draw:
    """One transaction's chances: a source of choices, the state, and who acts once that is decided."""

    def __init__(self, random: Random, state: Any, notebook: Notebook, actor: bytes | None = None) -> None:
        self.random = random
        self.state = state
        self.notebook = notebook
        self.actor = actor

    def some(self, rows: Sequence[T]) -> T:
        if not rows:
            raise Nothing
        return rows[self.random.randrange(len(rows))]

    def rarely(self, percent: int = 5) -> bool:
        return self.random.randrange(100) < percent

    def parties(self) -> list[bytes]:
        return [account for account in self.state.accounts if account not in self.state.validators]

    def anyone(self) -> bytes:
        return self.actor or self.some(self.parties())

    def other(self, than: bytes) -> bytes:
        """A recipient, rarely one that cannot receive."""
        if self.rarely():
            return self.some([than, UNKNOWN, self.state.validators[0]])
        return self.some([account for account in self.parties() if account != than])

    def subject(self, rows: Sequence[T], by: Callable[[T], bytes]) -> tuple[bytes, T]:
        """Choose what to act on and who acts: nearly always whom it befits, one of the actor's own if it can be."""
        if self.actor is not None:
            row = self.some([row for row in rows if by(row) == self.actor] or rows)
            return self.actor, row
        row = self.some(rows)
        return (self.some(self.parties()) if self.rarely() else by(row)), row

    def asset(self, by: str = "manager", rows: Sequence[bytes] | None = None) -> tuple[bytes, bytes]:
        """Choose an asset, mostly one that is in trade, and its manager or owner."""
        known = self.state.assets
        if rows is None:
            rows = [key for key, asset in known.items() if not asset["retired"] and asset["pending"] is None]
            if self.rarely():
                rows = [*known, UNKNOWN] if self.rarely(20) else list(known)
        return self.subject(rows, lambda key: self._responsible(key, by))

    def _responsible(self, key: bytes, by: str) -> bytes:
        if key not in self.state.assets:
            return self.anyone()
        asset = self.state.assets[key]
        return bytes(asset["manager"]) if by == "manager" else bytes(next(iter(asset["shares"])))

    def expiry(self) -> int:
        """Within the bounds, at them, or one millisecond beyond."""
        now, latest = self.state.now, self.state.now + self.state.offer_lifetime
        if self.rarely(8):
            return int(self.some([now, now + 1, latest, latest + 1]))
        return int(now + self.some(LIFETIMES_MS))

    def salt(self) -> bytes:
        return hashlib.sha256(self.notebook.next("salt").encode()).digest()[:16]


# --- accounts and credits


def transfer(draw: Draw) -> Draft:
    sender = draw.anyone()
    held = draw.state.balances.get(sender, 0)
    amount = draw.some([1, 7, 12_345, held // 20, held // 20, held // 7])
    if draw.rarely(6):
        amount = draw.some([held, held + 1, 2**63 - 1])
    return sender, [credits.Transfer(draw.other(sender), min(max(amount, 1), 2**63 - 1))]


def fresh_key(draw: Draw, sender: bytes) -> bytes:
    if draw.rarely(20):
        validator = next(iter(draw.state.accounts[draw.state.validators[0]]["keys"]))
        return bytes(draw.some([bytes(32), validator, *draw.state.accounts[sender]["keys"]]))
    return draw.notebook.new_key()


def open_account(draw: Draw) -> Draft:
    vouching = [account for account, record in draw.state.accounts.items() if record["vouches"]]
    sender = draw.actor or (draw.anyone() if draw.rarely(20) else draw.some(vouching))
    if draw.notebook.opened and draw.rarely(20):
        return sender, [draw.some(draw.notebook.opened)]
    operation = organizations.OpenAccount(fresh_key(draw, sender), draw.salt(), draw.notebook.next("account"))
    if len(draw.parties()) < 12 or draw.rarely():
        draw.notebook.opened.append(operation)
        return sender, [operation]
    raise Nothing


def add_key(draw: Draw) -> Draft:
    sender = draw.anyone()
    if draw.rarely(3):
        return sender, [organizations.AddKey(draw.notebook.new_key(), "operator") for _ in range(16)]
    roles: tuple[Any, ...] = ("owner", "operator", "operator", "release")
    return sender, [organizations.AddKey(fresh_key(draw, sender), draw.some(roles))]


def own_key(draw: Draw, sender: bytes) -> bytes:
    keys = list(draw.state.accounts[sender]["keys"])
    return bytes(draw.some([UNKNOWN, *draw.notebook.keys] if draw.rarely(10) else keys))


def revoke_key(draw: Draw) -> Draft:
    rich = [account for account in draw.parties() if len(draw.state.accounts[account]["keys"]) > 1]
    sender = draw.actor or draw.some(draw.parties() if draw.rarely(20) else rich)
    return sender, [organizations.RevokeKey(own_key(draw, sender))]


def rotate_key(draw: Draw) -> Draft:
    sender = draw.anyone()
    return sender, [organizations.RotateKey(own_key(draw, sender), fresh_key(draw, sender))]


def advance_clock(draw: Draw) -> Draft:
    if draw.rarely():
        return draw.anyone(), [development.AdvanceClock(development.ADVANCE_MS_MAX)] * 11
    return draw.anyone(), [development.AdvanceClock(draw.some([1, 999, 10_000]))]


# --- assets


def may_derive(state: Any, grant: dict[str, Any]) -> bool:
    """Whether a derivative can be made under a grant now."""
    terms = state.terms[grant["terms"]]
    allowed = terms["derivatives"] == "yes" or (terms["derivatives"] == "on-approval" and grant["approved"])
    rights = {"train-on"} if state.assets[grant["asset"]]["kind"] == "dataset" else set(DERIVING)
    return bool(allowed and state_of(state, grant) == "active" and set(terms["rights"]) & rights)


def new_artifact(draw: Draw) -> tuple[str, assets.Artifact]:
    """Return a kind and an artifact of it; rarely a malformed or a claimed one."""
    label, kind = draw.notebook.next("artifact"), draw.some(KINDS)
    content = hashlib.sha256(label.encode()).digest()
    cid = "b" + base64.b32encode(b"\x01\x55\x12\x20" + content).decode().lower().rstrip("=")
    size, tensors = 1_000, hashlib.sha256(content).digest() if kind == "model" else None
    if draw.rarely(8):
        claimed: list[str] = list(draw.state.claims)
        cid = draw.some([*claimed, *claimed, cid.upper(), "b" + "a" * 58, cid[:-1] + "b"])
    if draw.rarely():
        size = draw.some([draw.state.artifact_bytes, draw.state.artifact_bytes + 1])
    if draw.rarely():
        tensors = draw.some([None, content, *draw.state.tensors])
    return kind, assets.Artifact(cid, size, tensors)


def commit_artifact(draw: Draw) -> Draft:
    known = [key for key in draw.state.commitments if key[0] == "assets"]
    if known and draw.rarely(6):
        _, account, commitment = draw.some(known)
        return account if draw.rarely(50) else draw.anyone(), [assets.Commit(commitment)]
    if len(known) > 12:
        raise Nothing
    learned = [grant["licensee"] for grant in draw.state.grants.values() if may_derive(draw.state, grant)]
    sender = draw.actor or (draw.some(learned) if learned and draw.rarely(70) else draw.anyone())
    (kind, artifact), salt = new_artifact(draw), draw.salt()
    commitment = assets.commitment(artifact.cid, sender, salt)
    draw.notebook.secrets[commitment] = Secret((kind, artifact), salt)
    return sender, [assets.Commit(commitment)]


def revealable(draw: Draw, module: str) -> list[tuple[bytes, Secret]]:
    """Return (account, secret) of the open commitments, as a rule of those that are old enough."""
    age = 0 if draw.rarely(8) else draw.state.commitment_age
    secrets = draw.notebook.secrets
    return [
        (account, secrets[commitment])
        for (of, account, commitment), (made, _) in draw.state.commitments.items()
        if of == module
        and made + age <= draw.state.now
        and commitment in secrets
        and draw.notebook.tries[secrets[commitment].salt] < TRIES
    ]


def reveal_one(draw: Draw, module: str) -> tuple[bytes, tuple[bytes, Secret]]:
    """Choose (sender, (account, secret)): who reveals what."""
    rows = revealable(draw, module)
    if draw.actor is not None and not draw.rarely():
        rows = [row for row in rows if row[0] == draw.actor]
    if not draw.rarely(10):
        rows = [row for row in rows if not draw.notebook.tries[row[1].salt]] or rows
    sender, (account, secret) = draw.subject(rows, lambda row: row[0])
    draw.notebook.tries[secret.salt] += 1
    return sender, (account, secret)


def parents_for(draw: Draw, account: bytes) -> tuple[assets.Derivation, ...]:
    """Derive from what the account holds a grant on, from its own, and rarely from anything."""
    state, found = draw.state, {}
    for _ in range(draw.some([0, 1, 1, 2, 2, 3, 9])):
        grants = [
            (key, grant)
            for key, grant in state.grants.items()
            if draw.rarely(1) or (grant["licensee"] == account and (may_derive(state, grant) or draw.rarely(6)))
        ]
        own = [key for key, asset in state.assets.items() if account in asset["shares"]]
        if grants and draw.rarely(75):
            key, grant = draw.some(grants)
            allowed = state.terms[grant["terms"]]["rights"]
            rights = [right for right in DERIVING if right in allowed or draw.rarely(2)]
            parent, grant_id = grant["asset"], key
        elif own and not draw.rarely():
            parent, grant_id, rights = draw.some(own), None, list(DERIVING)
        elif not draw.rarely(10):
            continue
        else:
            parent, grant_id, rights = draw.some([UNKNOWN, *state.assets]), draw.some([None, UNKNOWN]), []
        if parent in state.assets and state.assets[parent]["kind"] == "dataset" and not draw.rarely():
            rights = ["train-on"]
        right: Any = draw.some(rights or DERIVING)
        found[parent] = assets.Derivation(parent, right, grant_id)
    parents = list(found.values())[: assets.PARENTS_MAX]
    return tuple(parents + parents[:1]) if draw.rarely(2) and len(parents) < assets.PARENTS_MAX else tuple(parents)


def creators_for(draw: Draw, sender: bytes) -> tuple[tuple[bytes, int], ...]:
    if draw.rarely(50):
        return ()
    bps, other = draw.random.randrange(1, 10_000), draw.other(sender)
    if draw.rarely():
        return draw.some(
            [((sender, 10_000), (other, 0)), ((sender, bps), (other, bps)), ((sender, 1), (sender, 9_999))]
        )
    return ((sender, bps), (other, 10_000 - bps))


def register(draw: Draw) -> Draft:
    sender, (account, secret) = reveal_one(draw, "assets")
    kind, artifact = secret.subject
    resale = draw.some([0, 0, 250, 1_500])
    terms = assets.TransferTerms(resale, draw.some([0, 0, 3, 10**6]) if resale else 0, not draw.rarely(20))
    labels: dict[str, Any] = {"name": draw.notebook.next("asset")}
    if draw.rarely():
        labels |= draw.some(
            [
                {"name": " "},
                {"tags": ("a", "a")},
                {"metadata": (("a", "1"), ("a", "2"))},
                {"transfer_terms": assets.TransferTerms(0, 1)},
                {"kind": "model" if kind != "model" else "software"},
            ]
        )
    fields = {"kind": kind, "transfer_terms": terms} | labels
    operation = assets.Register(
        artifact,
        draw.salt() if draw.rarely(3) else secret.salt,
        provenance=assets.Provenance(parents_for(draw, account)),
        creators=creators_for(draw, sender),
        manager=draw.other(sender) if draw.rarely(10) else None,
        visibility="public" if draw.rarely(10) else "licensed",
        **fields,
    )
    return sender, [operation]


def add_version(draw: Draw) -> Draft:
    sender, (account, secret) = reveal_one(draw, "assets")
    kind, artifact = secret.subject
    managed = [
        key
        for key, asset in draw.state.assets.items()
        if draw.rarely(2)
        or (asset["manager"] == account and asset["kind"] == kind and not asset["retired"] and not asset["pending"])
    ]
    waiting = {grant["asset"] for grant in draw.state.grants.values() if grant["due"] is not None}
    asset = draw.some([key for key in managed if key in waiting] or managed)
    named = parents_for(draw, draw.some([account, *draw.state.assets[asset]["shares"]]))
    parents = assets.Provenance(tuple(one for one in named if one.parent != asset or draw.rarely()))
    return sender, [assets.AddVersion(asset, artifact, secret.salt, parents)]


def set_alias(draw: Draw) -> Draft:
    sender, asset = draw.asset()
    if draw.rarely(3):
        return sender, [assets.SetAlias(asset, f"alias{number}", 1) for number in range(17)]
    alias = draw.some(["stable", "next", *draw.state.assets.get(asset, {"aliases": ()})["aliases"]])
    return sender, [assets.SetAlias(asset, alias, draw.some([None, 1, 1, 2, 3]))]


def set_manager(draw: Draw) -> Draft:
    sender, asset = draw.asset("owner")
    return sender, [assets.SetManager(asset, draw.anyone() if draw.rarely(70) else draw.other(sender))]


def retire(draw: Draw) -> Draft:
    if len(draw.state.assets) < 10 and not draw.rarely():
        raise Nothing
    sender, asset = draw.asset("owner")
    return sender, [assets.Retire(asset)]


def report_held(draw: Draw) -> Draft:
    """One validator reports every version that it has not reported, or one that is none of its business."""
    validators = draw.state.validators
    sender = draw.actor or draw.some(validators if not draw.rarely() else draw.parties())
    if sender not in validators and draw.actor is not None and not draw.rarely():
        raise Nothing
    wanted = [
        assets.ReportHeld(key, number + 1)
        for key, asset in draw.state.assets.items()
        for number, version in enumerate(asset["versions"])
        if sender not in version["held"]
    ]
    if draw.rarely():
        anything = [assets.ReportHeld(key, draw.some([1, 9])) for key in (UNKNOWN, *draw.state.assets)]
        return sender, [draw.some(anything)]
    return sender, [draw.some(wanted)] if draw.rarely(50) else wanted[:20] or [draw.some(wanted)]


# --- transfers


def offer_transfer(draw: Draw) -> Draft:
    sender, asset = draw.asset("owner")
    price = max(1, draw.some(PRICES))
    return sender, [assets.OfferTransfer(asset, draw.other(sender), price, draw.expiry())]


def offer_gift(draw: Draw) -> Draft:
    sender, asset = draw.asset("owner")
    return sender, [assets.OfferGift(asset, draw.other(sender), draw.expiry())]


def accept_transfer(draw: Draw) -> Draft:
    rows = [UNKNOWN] if draw.rarely(3) else list(draw.state.transfers)
    pending = draw.state.transfers.get
    sender, key = draw.subject(rows, lambda key: pending(key, {"recipient": draw.anyone()})["recipient"])
    price = pending(key, {"price": 1})["price"]
    return sender, [assets.AcceptTransfer(key, max(0, price - 1) if draw.rarely() else price)]


def withdraw_transfer(draw: Draw) -> Draft:
    rows = [UNKNOWN] if draw.rarely(3) else list(draw.state.transfers)
    role = draw.some(["giver", "recipient"])
    pending = draw.state.transfers.get
    sender, key = draw.subject(rows, lambda key: pending(key, {role: draw.anyone()})[role])
    return sender, [assets.WithdrawTransfer(key)]


# --- licenses

BROKEN_TERMS: tuple[dict[str, Any], ...] = (
    {"rights": ("train-on", "download")},
    {"territory": ("FR", "DE")},
    {"exclusivity": "sole", "editions_max": 3},
    {"renewable": True, "term_ms": None},
    {"quota": 5, "quota_unit": None},
    {"quota": 5, "quota_unit": "calls"},
    {"quota": 1, "quota_unit": "trainings", "rights": ("download",)},
    {"field_allow": ("medicine",), "field_deny": ("medicine",)},
    {"credentials": ("doctor",)},
    {"resale_royalty_bps": 5, "transferable": False},
    {"revenue_share_bps": 5, "revenue_share_depth": 1, "commercial": False},
    {"revenue_share_bps": 5, "revenue_share_depth": 1, "commercial": True, "derivatives": "no"},
    {"revenue_share_bps": 0, "least_royalty": 5, "transferable": False},
    {"revenue_share_bps": 0, "least_royalty": 0, "revenue_share_cap": 5},
    {"commercial": True, "derivatives": "yes", "revenue_share_bps": 5, "revenue_share_cap": 0},
    {"commercial": True, "derivatives": "yes", "revenue_share_bps": 5, "revenue_share_depth": 0},
    {"derivatives": "no", "share_alike": "superset"},
    {"refund_mode": "pro-rata", "revocation_causes": ()},
    {"notice_ms": 1, "revocation_causes": ()},
    {"legal_text_cid": "not a CID"},
)


def terms_for(draw: Draw, asset_id: bytes) -> licenses.Terms:
    """Terms that hold together and that the asset's ancestors allow; rarely some that do not."""
    some, now = draw.some, draw.state.now
    if draw.notebook.lineages and asset_id in draw.state.assets and not draw.rarely(20):
        return easy_terms(draw, draw.state.assets[asset_id])
    rights = tuple(sorted({some(RIGHTS), some(DERIVING), some((*RIGHTS, "train-on", "train-on"))}))
    quota = some([1, 2]) if draw.rarely(15) else None
    share = some([0, 1, 10, 250, 250, 500, 500, 1_000, 1_700, 3_333, 5_000])
    commercial = not draw.rarely(15)
    share = share if commercial else 0
    bounded = 40 if draw.rarely(40) else 10
    exclusivity = some(["none"] * 8 + ["sole", "exclusive"])
    fields: dict[str, Any] = {
        "rights": rights,
        "price": some(PRICES),
        "commercial": commercial,
        "exclusivity": exclusivity,
        "editions_max": some([None, None, None, 1, 2]) if exclusivity == "none" else None,
        "start_ms": some([now - 500, now + 5_000, now + DAY_MS]) if draw.rarely(8) else None,
        "term_ms": some([None, None, None, None, 1_000, 30_000, DAY_MS, 90 * DAY_MS]),
        "quota": quota,
        "quota_unit": quota and "trainings",
        "field_allow": some([(), (), ("art",), ("art", "medicine")]) if draw.rarely(bounded) else (),
        "field_deny": ("weapons",) if draw.rarely(15) else (),
        "territory": some([("DE",), ("DE", "FR"), ("FR",)]) if draw.rarely(bounded) else (),
        "credentials": ("organization:org-alice", "organization:org-bob") if draw.rarely(8) else (),
        "derivatives": some(["on-approval", "yes", "yes", "yes"])
        if share
        else some(["no", "yes", "yes", "on-approval"]),
        "revenue_share_bps": share,
        "revenue_share_depth": some([1, 2, 3, 8, 8]) if share else 0,
        "revenue_share_cap": some([None, None, 5, 1_000, 10**6]) if share else None,
        "dispute_window_ms": some([0, 0, 0, 5_000, DAY_MS]),
    }
    if share and draw.rarely(15):
        fields["least_royalty"] = some([1, 3, 5])
    if fields["derivatives"] != "no" and draw.rarely(15):
        fields["share_alike"] = some(["superset", "identical"])
    if (exclusivity != "none" or reserved(draw.state, asset_id)) and draw.rarely(60):
        fields |= {"territory": some([("DE",), ("FR",)])}
    if asset_id in draw.state.assets and not draw.rarely(8):
        fields |= demanded(draw, draw.state.assets[asset_id], fields)
    if draw.rarely(8):
        fields |= some(BROKEN_TERMS)
    return licenses.Terms(**fields)


def reserved(state: Any, asset_id: bytes) -> bool:
    """Whether somebody has a sole or exclusive grant on an asset: others may be bought beside it, or may not."""
    return any(grant["asset"] == asset_id and reserves(state, grant) for grant in state.grants.values())


def easy_terms(draw: Draw, asset: dict[str, Any]) -> licenses.Terms:
    """Terms under which derivatives are made for a small share, for generations."""
    fields: dict[str, Any] = {
        "rights": DERIVING,
        "price": draw.some([3, 3, 29, 500, 123_457]),
        "commercial": True,
        "derivatives": "yes",
        "revenue_share_bps": draw.some([1, 10, 50, 250, 333]),
        "revenue_share_depth": draw.some([1, 2, 4, 8, 8]),
        "revenue_share_cap": draw.some([None, None, None, 50]),
        "least_royalty": draw.some([0, 0, 0, 2]),
        "dispute_window_ms": draw.some([0, 0, DAY_MS]),
        "field_allow": (),
        "field_deny": (),
        "territory": (),
        "exclusivity": "none",
        "share_alike": "no",
    }
    return licenses.Terms(**(fields | demanded(draw, asset, fields)))


def demanded(draw: Draw, asset: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
    """What the asset's ancestors demand of the terms."""
    wanted: dict[str, Any] = {"field_deny": tuple(sorted(asset["denied"] | set(fields["field_deny"])))}
    wanted["field_allow"] = tuple(name for name in fields["field_allow"] if name not in wanted["field_deny"])
    if not asset["commercial"]:
        wanted |= {"commercial": False, "price": 0}
        wanted |= {"revenue_share_bps": 0, "revenue_share_depth": 0, "revenue_share_cap": None, "least_royalty": 0}
    for theirs in [draw.state.terms[digest] for link in asset["links"].values() for digest in link["terms"]]:
        if theirs["share_alike"] == "superset":
            rights = tuple(sorted({*fields["rights"], *theirs["rights"]}))
            wanted |= {"rights": rights, "derivatives": "yes", "share_alike": "no" if draw.rarely(15) else "superset"}
        elif theirs["share_alike"] == "identical":
            same = ("rights", "exclusivity", "field_allow", "field_deny", "territory", "derivatives", "share_alike")
            wanted |= {name: theirs[name] for name in same}
    return wanted


def offer_license(draw: Draw) -> Draft:
    tradable = [key for key, one in draw.state.assets.items() if not one["retired"] and one["pending"] is None]
    derived = [key for key in tradable if draw.state.assets[key]["stack"]]
    sender, asset = draw.asset(rows=derived if derived and draw.rarely(60) else None)
    known = [row["terms"] for row in draw.state.offers.values() if row["asset"] == asset]
    terms = terms_for(draw, asset)
    if known and draw.rarely(30):
        terms = licenses.Terms(**draw.state.terms[draw.some(known)])  # the same editions, sold by another offer
    version = draw.some([1, 2, 9]) if draw.rarely() else None
    buyer = draw.other(sender) if draw.rarely(8) else None
    operation = licenses.Offer(asset, terms, draw.expiry(), version, buyer)
    return sender, [operation] * (2 if draw.rarely(2) else 1)


def open_offers(draw: Draw) -> list[bytes]:
    """Offers that somebody can buy under, and rarely all of them."""
    state = draw.state
    if draw.rarely():
        return [*state.offers, UNKNOWN]
    return [
        key
        for key, offer in state.offers.items()
        if offer["transfers"] == state.assets[offer["asset"]]["transfers"]
        and not state.assets[offer["asset"]]["retired"]
        and state.assets[offer["asset"]]["pending"] is None
        and state.now < offer["expires"]
    ]


def asks_commitment(state: Any, key: bytes) -> bool:
    """Whether a purchase under an offer must have been committed to: the grant is exclusive or the last edition."""
    if key not in state.offers:
        return False
    digest = state.offers[key]["terms"]
    terms, most = state.terms[digest], state.terms[digest]["editions_max"]
    bought = [grant["state"] != "refunded" for grant in sold(state, state.offers[key]["asset"], digest)]
    return bool(terms["exclusivity"] == "exclusive" or (most is not None and sum(bought) >= most - 1))


def buyer_of(draw: Draw, offer: dict[str, Any]) -> bytes:
    if offer["buyer"] is not None and not draw.rarely(10):
        return bytes(offer["buyer"])
    owners = draw.state.assets[offer["asset"]]["shares"]
    price = draw.state.terms[offer["terms"]]["price"]
    return draw.some(
        [
            account
            for account in draw.parties()
            if (account not in owners and draw.state.balances.get(account, 0) >= price) or draw.rarely()
        ]
    )


def withdraw_offer(draw: Draw) -> Draft:
    offers = draw.state.offers
    if len(offers) < 12 and not draw.rarely(20):
        raise Nothing
    rows = [UNKNOWN] if draw.rarely(3) else list(offers)
    sender, key = draw.subject(rows, lambda key: offers[key]["maker"] if key in offers else draw.anyone())
    return sender, [licenses.WithdrawOffer(key)]


def commit_purchase(draw: Draw) -> Draft:
    state = draw.state
    if draw.rarely():
        known = [key for key in state.commitments if key[0] == "licenses"]
        _, sender, commitment = draw.some(known)
        return sender, [licenses.Commit(commitment)]
    secret_sales = [key for key in open_offers(draw) if draw.rarely() or asks_commitment(state, key)]
    secret_sales = [key for key in secret_sales if key in state.offers]
    offer = draw.some(secret_sales)
    sender, salt = draw.actor or buyer_of(draw, state.offers[offer]), draw.salt()
    commitment = licenses.purchase_commitment(offer, sender, salt)
    draw.notebook.secrets[commitment] = Secret(offer, salt)
    return sender, [licenses.Commit(commitment)]


def purchase(draw: Draw) -> Draft:
    state = draw.state
    if draw.rarely(50) and revealable(draw, "licenses"):
        sender, (_, secret) = reveal_one(draw, "licenses")
        offer, salt = secret.subject, secret.salt
    else:
        rows = [key for key in open_offers(draw) if draw.rarely() or not asks_commitment(state, key)]
        derived = [key for key in rows if key in state.offers and state.assets[state.offers[key]["asset"]]["stack"]]
        offer, salt = (
            draw.some(derived if derived and draw.rarely(50) else rows),
            draw.salt() if draw.rarely(2) else None,
        )
        sender = draw.actor or (buyer_of(draw, state.offers[offer]) if offer in state.offers else draw.anyone())
    digest = state.offers.get(offer, {"terms": UNKNOWN})["terms"]
    price = state.terms.get(digest, {"price": 0})["price"]
    if draw.rarely(4):
        digest, price = draw.some([(UNKNOWN, price), (digest, max(price - 1, 0))])
    return sender, [licenses.Purchase(offer, digest, price, salt)] * (2 if draw.rarely(3) else 1)


def claim(draw: Draw) -> Draft:
    grants = draw.state.grants
    due = [key for key, grant in grants.items() if grant["due"] is not None and grant["due"] <= draw.state.now]
    if not due and not draw.rarely(20):
        raise Nothing
    return draw.anyone(), [licenses.Claim(draw.some([*grants, UNKNOWN] if draw.rarely(30) or not due else due))]


def approve(draw: Draw) -> Draft:
    state = draw.state
    waiting = [
        key
        for key, grant in state.grants.items()
        if state.terms[grant["terms"]]["derivatives"] == "on-approval" and not grant["approved"]
    ]
    rows = [*state.grants, UNKNOWN] if draw.rarely() else waiting
    managers = {key: state.assets[grant["asset"]]["manager"] for key, grant in state.grants.items()}
    sender, key = draw.subject(rows, lambda key: managers.get(key) or draw.anyone())
    return sender, [licenses.ApproveDerivatives(key)]


def withdraw(draw: Draw) -> Draft:
    from tests.reference.royalties import creators_pool

    assets_of = {creators_pool(key): key for key in draw.state.assets} | {key: key for key in draw.state.assets}
    owed = [(pool, account) for (pool, account), parts in draw.state.owed.items() if parts >= 10_000]
    if draw.rarely():
        return draw.anyone(), [royalties.Withdraw(draw.some([UNKNOWN, *draw.state.assets]))]
    sender, (pool, _) = draw.subject(owed, lambda row: row[1])
    return sender, [royalties.Withdraw(assets_of[pool])]


class Situation(NamedTuple):
    weight: int
    draft: Callable[[Draw], Draft]


SITUATIONS: dict[type, Situation] = {
    organizations.OpenAccount: Situation(2, open_account),
    organizations.AddKey: Situation(3, add_key),
    organizations.RevokeKey: Situation(3, revoke_key),
    organizations.RotateKey: Situation(3, rotate_key),
    credits.Transfer: Situation(6, transfer),
    development.AdvanceClock: Situation(1, advance_clock),
    assets.Commit: Situation(14, commit_artifact),
    assets.Register: Situation(18, register),
    assets.AddVersion: Situation(14, add_version),
    assets.SetAlias: Situation(4, set_alias),
    assets.SetManager: Situation(3, set_manager),
    assets.OfferTransfer: Situation(5, offer_transfer),
    assets.OfferGift: Situation(4, offer_gift),
    assets.AcceptTransfer: Situation(8, accept_transfer),
    assets.WithdrawTransfer: Situation(2, withdraw_transfer),
    assets.Retire: Situation(1, retire),
    assets.ReportHeld: Situation(18, report_held),
    licenses.Commit: Situation(7, commit_purchase),
    licenses.Offer: Situation(16, offer_license),
    licenses.WithdrawOffer: Situation(2, withdraw_offer),
    licenses.Purchase: Situation(26, purchase),
    licenses.Claim: Situation(4, claim),
    licenses.ApproveDerivatives: Situation(4, approve),
    royalties.Withdraw: Situation(7, withdraw),
}
"""Operation -> how often it is tried, and how."""
