"""License terms as an ODRL policy in JSON-LD."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from guildmark.accounts import account_bytes, account_text
from guildmark.errors import InvalidArgument
from guildmark.odrl.values import date_time, duration
from guildmark.odrl.vocabulary import (
    ATTRIBUTION_TEXT,
    COMMERCIAL_USE,
    CONTEXT,
    CREDIT,
    OUR_PREFIX,
    OURS,
    PLACES,
    PROFILE,
    PROPERTIES,
    RIGHT_ACTIONS,
    Kind,
    short,
)
from ledger.modules.licenses.operations import Terms, terms_digest

IRI_CHARACTERS_MAX: Final = 512
_IRI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s<>\"{}|\\^`\x00-\x20]+")
_HEX_ID: Final = re.compile(r"[0-9a-f]{64}")


def to_odrl(
    terms: Terms,
    *,
    asset: str,
    assigner: str,
    assignee: str | None = None,
    uid: str | None = None,
    kind: Literal["Offer", "Agreement"] | None = None,
) -> dict[str, Any]:
    """Write terms as an ODRL 2.2 policy under our profile. Nothing is lost: `from_odrl` returns equal terms.

    `asset` and the parties are IRIs, or an asset id in hex and accounts `gm1...`, which become `urn:guildmark:...`.
    Without `kind` it is an Agreement where there is an assignee, and an Offer where there is none. The policy is named
    by the digest of its terms unless `uid` says otherwise.

    Raises:
        InvalidArgument: `odrl.iri`, not an IRI; `argument.account`, a mistyped account; `odrl.assignee`, an Agreement
            without one.
    """
    policy = kind or ("Offer" if assignee is None else "Agreement")
    if policy == "Agreement" and assignee is None:
        raise InvalidArgument("odrl.assignee", "an Agreement names who is granted the license: give the assignee")
    parties = {"target": asset_iri(asset), "assigner": party_iri(assigner)}
    if assignee is not None:
        parties["assignee"] = party_iri(assignee)
    name = _iri(uid or f"urn:guildmark:terms:{terms_digest(terms).hex()}", "uid")
    document: dict[str, Any] = {
        "@context": [CONTEXT, {OUR_PREFIX: OURS}],
        "@type": policy,
        "uid": name,
        "profile": PROFILE,
        "permission": _permissions(terms, parties, name),
    }
    prohibitions = _prohibitions(terms, parties)
    if prohibitions:
        # Denied purposes lie inside what is permitted; ODRL calls such a policy void unless it says which one counts.
        document |= {"conflict": "prohibit", "prohibition": prohibitions}
    defaults = {field.name: field.default for field in msgspec.structs.fields(Terms)}
    for field, place in PROPERTIES.items():
        value = getattr(terms, field)
        if value != defaults[field]:
            document[short(place.name)] = _literal(value, place.kind)
    return document


def asset_iri(asset: str) -> str:
    """Return the IRI of an asset id in hex; an IRI stays as it is. Raises InvalidArgument, `odrl.iri`."""
    return f"urn:guildmark:asset:{asset}" if _HEX_ID.fullmatch(asset) else _iri(asset, "the asset")


def party_iri(party: str) -> str:
    """Return the IRI of an account `gm1...`; an IRI stays as it is.

    Raises:
        InvalidArgument: `odrl.iri`; `argument.account`, a mistyped account.
    """
    if not party.startswith("gm1"):
        return _iri(party, "a party")
    return f"urn:guildmark:account:{account_text(account_bytes(party))}"


def is_iri(text: str) -> bool:
    """Say whether `text` can stand as an IRI: a scheme, and nothing that JSON-LD would have to escape."""
    return len(text) <= IRI_CHARACTERS_MAX and _IRI.fullmatch(text) is not None


def _iri(text: str, what: str) -> str:
    if not is_iri(text):
        raise InvalidArgument(
            "odrl.iri", f"{what} must be an IRI of at most {IRI_CHARACTERS_MAX} characters: {text!r:.80}"
        )
    return text


def _permissions(terms: Terms, parties: Mapping[str, str], uid: str) -> list[dict[str, Any]]:
    actions = [short(action) for right in terms.rights for action in RIGHT_ACTIONS[right]]
    derive = short(PLACES["derivatives"].name)
    if terms.derivatives == "yes":
        actions.append(derive)
    constraints = _constraints(terms)
    shared = [duty for duty in (_payment(terms, uid), _attribution(terms)) if duty]
    permissions = [_rule(parties, actions, constraints, shared)]
    if terms.derivatives == "on-approval":
        consent = {"action": "obtainConsent", "consentingParty": parties["assigner"]}
        permissions.append(_rule(parties, [derive], constraints, [*shared, consent]))
    return permissions


def _rule(
    parties: Mapping[str, str], actions: list[str], constraints: list[dict[str, Any]], duties: list[dict[str, Any]]
) -> dict[str, Any]:
    rule: dict[str, Any] = {**parties, "action": actions[0] if len(actions) == 1 else actions}
    if constraints:
        rule["constraint"] = constraints
    if duties:
        rule["duty"] = duties
    return rule


def _payment(terms: Terms, uid: str) -> dict[str, Any] | None:
    if not terms.price:
        return None
    amount = {**_constraint("payAmount", "eq", _literal(terms.price, "integer")), "unit": CREDIT}
    # Its name says that it is one duty, due once, where two permissions ask for it.
    return {"uid": f"{uid}#payment", **_refined("compensate", amount)}


def _attribution(terms: Terms) -> dict[str, Any] | None:
    if not terms.attribution:
        return None
    return _refined("attribute", _constraint(short(ATTRIBUTION_TEXT), "eq", terms.attribution))


def _refined(action: str, refinement: dict[str, Any]) -> dict[str, Any]:
    return {"action": [{"rdf:value": {"@id": f"odrl:{action}"}, "refinement": [refinement]}]}


def _constraints(terms: Terms) -> list[dict[str, Any]]:
    found = []
    if terms.start_ms is not None:
        moment = {"@value": date_time(terms.start_ms), "@type": "xsd:dateTime"}
        found.append(_constraint("dateTime", "gteq", moment))
    if terms.term_ms is not None:
        found.append(_constraint("elapsedTime", "lt", _literal(terms.term_ms, "duration")))
    if terms.quota is not None:
        count = _constraint("count", "lteq", _literal(terms.quota, "integer"))
        found.append(count | ({} if terms.quota_unit is None else {"unit": OURS + terms.quota_unit}))
    if terms.seats is not None:
        found.append(_constraint(short(PLACES["seats"].name), "lteq", _literal(terms.seats, "integer")))
    lists = (("field_allow", "isAnyOf"), ("territory", "isAnyOf"), ("credentials", "isAllOf"))
    for field, operator in lists:
        if values := getattr(terms, field):
            found.append(_constraint(short(PLACES[field].name), operator, list(values)))
    return found


def _constraint(left: str, operator: str, right: Any) -> dict[str, Any]:
    return {"leftOperand": left, "operator": operator, "rightOperand": right}


def _prohibitions(terms: Terms, parties: Mapping[str, str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if not terms.commercial:
        found.append({**parties, "action": COMMERCIAL_USE})
    if terms.field_deny:
        purposes = _constraint("purpose", "isAnyOf", list(terms.field_deny))
        found.append({**parties, "action": "use", "constraint": [purposes]})
    return found


def _literal(value: Any, kind: Kind) -> Any:
    if kind == "integer":
        return {"@value": str(value), "@type": "xsd:integer"}
    if kind == "duration":
        return {"@value": duration(value), "@type": "xsd:duration"}
    return list(value) if kind == "words" else value
