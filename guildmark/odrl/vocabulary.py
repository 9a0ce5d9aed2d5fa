"""Which field of license terms stands where in an ODRL policy.

ODRL has words for when, where, how often, to what end and at what price an action may be exercised; the rest of our
terms are words of a profile of our own. Every field of `Terms` has exactly one row in `PLACES`, which is also what the
specification's table is written from.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final, Literal, NamedTuple, TypeAlias

CONTEXT: Final = "http://www.w3.org/ns/odrl.jsonld"
ODRL: Final = "http://www.w3.org/ns/odrl/2/"
XSD: Final = "http://www.w3.org/2001/XMLSchema#"
RDF: Final = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
PROFILE: Final = "urn:guildmark:odrl"
OURS: Final = "urn:guildmark:odrl#"
"""Where the words of the profile live."""
OUR_PREFIX: Final = "gm"
CREDIT: Final = OURS + "credit"
"""The unit of amounts: one minor unit of the network's credits."""
COMMERCIAL_USE: Final = "http://creativecommons.org/ns#CommercialUse"

PREFIXES: Final = MappingProxyType({"odrl": ODRL, "xsd": XSD, "rdf": RDF})
"""Those of ODRL's own context that occur in a policy's values."""

Kind: TypeAlias = Literal["word", "text", "integer", "flag", "duration", "words"]


class Place(NamedTuple):
    """Where a field of the terms stands."""

    where: Literal["action", "duty", "constraint", "prohibition", "property"]
    name: str
    """IRI of the action, left operand or property."""
    says: str
    """For the specification."""
    kind: Kind = "text"
    """How a property's value is written."""


def _ours(name: str, kind: Kind, says: str) -> Place:
    return Place("property", OURS + name, says, kind)


RIGHT_ACTIONS: Final = MappingProxyType(
    {
        "download": (ODRL + "reproduce",),
        "redistribute": (ODRL + "distribute",),
        "sublicense": (ODRL + "grantUse",),
        "display-print": (ODRL + "display", ODRL + "print"),
        "inference": (OURS + "inference",),
        "inference-as-service": (OURS + "inference-as-service",),
        "fine-tune": (OURS + "fine-tune",),
        "distill-merge": (OURS + "distill-merge",),
        "publish-benchmarks": (OURS + "publish-benchmarks",),
        "train-on": (OURS + "train-on",),
        "compute-only": (OURS + "compute-only",),
    }
)
"""The actions that a right permits, all of them together. Those of the profile are `includedIn` ODRL's `use`."""

PLACES: Final = MappingProxyType(
    {
        "rights": Place("action", ODRL + "action", "the permission's actions, by the table of rights"),
        "price": Place(
            "duty", ODRL + "compensate", "refined by `payAmount` `eq`, in the unit `gm:credit`; free: no duty"
        ),
        "commercial": Place("prohibition", COMMERCIAL_USE, "the prohibition stands where it is not commercial"),
        "exclusivity": _ours("exclusivity", "word", "`sole` or `exclusive`"),
        "editions_max": _ours("editionsMax", "integer", "grants there may be"),
        "start_ms": Place("constraint", ODRL + "dateTime", "`gteq` an `xsd:dateTime`"),
        "term_ms": Place("constraint", ODRL + "elapsedTime", "`lt` an `xsd:duration`"),
        "renewable": _ours("renewable", "flag", "`true`"),
        "quota": Place("constraint", ODRL + "count", "`lteq` an `xsd:integer`"),
        "quota_unit": Place("constraint", ODRL + "count", "the `unit` of that constraint: `gm:` and the unit"),
        "usage_price": _ours("usagePrice", "integer", "per unit of the quota, in the unit `gm:credit`"),
        "seats": Place("constraint", OURS + "seats", "`lteq` an `xsd:integer`"),
        "field_allow": Place("constraint", ODRL + "purpose", "`isAnyOf` the codes"),
        "field_deny": Place("prohibition", ODRL + "use", "constrained by `purpose` `isAnyOf` the codes"),
        "territory": Place("constraint", ODRL + "spatial", "`isAnyOf` the codes of ISO 3166-1"),
        "credentials": Place("constraint", OURS + "credential", "`isAllOf` the codes"),
        "transferable": _ours("transferable", "flag", "`true`"),
        "resale_royalty_bps": _ours("resaleRoyaltyBps", "integer", "basis points"),
        "least_royalty": _ours("leastRoyalty", "integer", "in the unit `gm:credit`"),
        "derivatives": Place(
            "action",
            ODRL + "derive",
            "permitted; on approval, by a permission of its own with the duty `obtainConsent`",
        ),
        "share_alike": _ours("shareAlike", "word", "`superset` or `identical`"),
        "revenue_share_bps": _ours("revenueShareBps", "integer", "basis points"),
        "revenue_share_cap": _ours("revenueShareCap", "integer", "in the unit `gm:credit`"),
        "revenue_share_depth": _ours("revenueShareDepth", "integer", "generations"),
        "attribution": Place("duty", ODRL + "attribute", "refined by `gm:attributionText` `eq` the text"),
        "revocation_causes": _ours("revocationCauses", "words", "the codes"),
        "notice_ms": _ours("notice", "duration", "an `xsd:duration`"),
        "refund_mode": _ours("refundMode", "word", "`pro-rata`"),
        "dispute_window_ms": _ours("disputeWindow", "duration", "an `xsd:duration`"),
        "legal_text_cid": _ours("legalTextCid", "text", "the CID"),
        "spdx_id": _ours("spdxId", "text", "the identifier"),
    }
)
"""Every field of the terms, in their order."""

PROPERTIES: Final = MappingProxyType({field: place for field, place in PLACES.items() if place.where == "property"})
ATTRIBUTION_TEXT: Final = OURS + "attributionText"


def short(iri: str) -> str:
    """Return an IRI as the exported context lets it be written."""
    if iri.startswith(ODRL):
        return iri.removeprefix(ODRL)
    return f"{OUR_PREFIX}:{iri.removeprefix(OURS)}" if iri.startswith(OURS) else iri
