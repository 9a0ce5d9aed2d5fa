"""An ODRL policy as license terms: what maps is taken, everything else is refused by its place and reason.

A member that were passed over could be the one that matters to whoever wrote it. So there is no "ignored" here: a
policy is either read whole or not at all.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import msgspec

from guildmark.odrl.reading import (
    Member,
    Names,
    check_size,
    items,
    parse,
    refuse,
    shown,
    text,
    typed,
    whole,
)
from guildmark.odrl.values import read_date_time, read_duration
from guildmark.odrl.vocabulary import (
    ATTRIBUTION_TEXT,
    COMMERCIAL_USE,
    CREDIT,
    ODRL,
    OURS,
    PLACES,
    PROPERTIES,
    RIGHT_ACTIONS,
)
from ledger.errors import OperationError
from ledger.modules.licenses.operations import Terms
from ledger.modules.licenses.terms import check_terms

_USE: Final = ODRL + "use"
_DERIVE: Final = PLACES["derivatives"].name
_TYPES: Final = {field.name: field.type for field in msgspec.structs.fields(Terms)}
_RIGHT_OF: Final = {action: right for right, actions in RIGHT_ACTIONS.items() for action in actions}
_UNIT_OF: Final = {OURS + unit: unit for unit in ("calls", "kilotokens", "key-releases", "trainings")}
_TRAINING: Final = frozenset({"train-on", "fine-tune", "distill-merge"})

_SHARED: Final = {"target": "", "assigner": "", "assignee": "", "action": ""}
_POLICY: Final = {
    "@context": "",
    "type": "",
    "uid": "",
    "profile": "",
    "permission": "",
    "prohibition": "",
    "conflict": "",
    **_SHARED,
    **{place.name: "" for place in PROPERTIES.values()},
    "inheritFrom": "terms stand for themselves: write what the parent policy says into this one",
    "inheritAllowed": "terms stand for themselves and are inherited by no other policy",
    "obligation": "terms have no obligations apart from a permission",
}
_RULE: Final = {
    "type": "",
    "uid": "",
    "constraint": "",
    **_SHARED,
    "output": "terms speak of one asset, and of nothing that an action makes of it",
    "refinement": "a refinement belongs to an action or a collection",
    "failure": "terms have no consequences of their own",
}
_PERMISSION: Final = {**_RULE, "duty": "", "remedy": "only a prohibition has remedies"}
_PROHIBITION: Final = {
    **_RULE,
    "duty": "only a permission has duties",
    "remedy": "the chain enforces no remedies: a prohibition here has no second way",
}
_DUTY: Final = {
    "type": "",
    "uid": "",
    "action": "",
    "constraint": "",
    "attributedParty": "",
    "compensatedParty": "",
    "consentingParty": "",
    "consequence": "the chain enforces no consequences: a duty here is a condition",
}
_ACTION: Final = {
    "rdf:value": "",
    "uid": "",
    "refinement": "",
    "includedIn": "actions cannot be defined in a policy",
    "implies": "actions cannot be defined in a policy",
}
_LOGICAL: Final = "conditions of terms all hold together: a choice between them does not map"
_CONSTRAINT: Final = {
    "type": "",
    "uid": "",
    "leftOperand": "",
    "operator": "",
    "rightOperand": "",
    "unit": "",
    "rightOperandReference": "terms hold values, not places where values may be found",
    "dataType": "type the value itself, with @value and @type",
    "status": "the chain itself counts what was used",
    **dict.fromkeys(("or", "xone", "xor", "and", "andSequence"), _LOGICAL),
}


def from_odrl(document: Any) -> Terms:
    """Read terms from a decoded policy: one of ours, or plain ODRL within the part that maps.

    Raises:
        OdrlRefused: `odrl.*` with the place in the document, for all that does not map and for terms that contradict
            themselves (`odrl.terms`).
    """
    made = policy_terms(document)
    try:
        check_terms(made)
    except OperationError as error:
        refuse("terms", "$", f"{error.message} [{error.code}]")
    return made


def read_odrl(data: bytes) -> Terms:
    """Read terms from a policy's JSON. Raises as `from_odrl`, and for what is not JSON or too large."""
    return from_odrl(parse(data))


def policy_terms(document: Any) -> Terms:
    """Read terms without asking whether their fields agree. Raises as `from_odrl` but for `odrl.terms`."""
    check_size(document)
    if not isinstance(document, dict):
        refuse("type", "$", f"a policy is an object, not {shown(document)}")
    return _Policy(document).terms()


class _Payment(NamedTuple):
    amount: int
    name: str | None
    """The duty's uid."""


class _Duties(NamedTuple):
    payment: _Payment | None = None
    attribution: str = ""
    approval: bool = False


class _Permission(NamedTuple):
    path: str
    actions: tuple[str, ...]
    conditions: dict[str, Any]
    duties: _Duties


class _Policy:
    """One policy being read."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._names = Names(document)
        self._members = self._names.members(document, "$", _POLICY)
        kind = self._names.check_type(self._members.get("type"), "Set", "Policy", "Offer", "Agreement")
        self._needed = {"Offer": ("assigner",), "Agreement": ("assigner", "assignee")}.get(kind, ())
        if "uid" not in self._members:
            refuse("missing", "$", "a policy has a uid")
        self._names.identity(self._members["uid"])
        self._parties: dict[str, str | None] | None = None
        """Target, assigner and assignee of the rules, the same for all."""

    def terms(self) -> Terms:
        permissions = [self._permission(item) for item in items(self._members.get("permission"))]
        if not permissions:
            refuse("missing", "$", "a policy without a permission gives no license")
        first = permissions[0]
        for other in permissions[1:]:
            self._check_alike(first, other)
        actions = {action for permission in permissions for action in permission.actions}
        values = dict(first.conditions)
        values["rights"] = tuple(sorted(_rights(actions, first.path)))
        values["derivatives"] = _derivatives(permissions)
        values["price"] = 0 if first.duties.payment is None else first.duties.payment.amount
        values["attribution"] = first.duties.attribution
        self._prohibit(values, actions)
        for field, place in PROPERTIES.items():
            member = self._members.get(place.name)
            if member is not None:
                values[field] = _check(field, _property(member, place.kind), member.path)
        return Terms(**_settle_quota(values, first.path))

    def _check_alike(self, first: _Permission, other: _Permission) -> None:
        """Terms hold for all rights alike, so the permissions must."""
        if other.conditions != first.conditions:
            refuse(
                "differing", other.path, "has other constraints than the first permission; terms hold for all rights"
            )
        if other.duties.attribution != first.duties.attribution:
            refuse("differing", other.path, "asks for another attribution than the first permission")
        if other.duties.payment != first.duties.payment:
            refuse(
                "differing", other.path, "asks for another payment than the first permission; a license has one price"
            )
        if first.duties.payment is not None and first.duties.payment.name is None:
            refuse("differing", other.path, "asks for a payment again: give one duty a uid in both, if it is due once")

    # --- rules

    def _rule(self, item: Member, kind: str, known: dict[str, str]) -> dict[str, Member]:
        found = self._names.members(item.value, item.path, known)
        self._names.check_type(found.get("type"), kind)
        if "uid" in found:
            self._names.identity(found["uid"])
        for name in _SHARED:
            shared = self._members.get(name)
            if shared is not None and name in found:
                refuse("several", found[name].path, f"the policy as a whole has a {name} already")
            if shared is not None:
                found[name] = shared
        if "action" not in found:
            refuse("missing", item.path, "a rule has an action")
        if "target" not in found:
            refuse("missing", item.path, "a rule has a target")
        parties: dict[str, str | None] = {"target": self._names.identity(found["target"], "Asset")}
        for name in ("assigner", "assignee"):
            if name in self._needed and name not in found:
                refuse("missing", item.path, f"this kind of policy names the {name}")
            parties[name] = self._names.identity(found[name], "Party") if name in found else None
        if self._parties is not None and parties != self._parties:
            refuse("several", item.path, "has another target, assigner or assignee than the rule before it")
        self._parties = parties
        return found

    def _permission(self, item: Member) -> _Permission:
        found = self._rule(item, "Permission", _PERMISSION)
        actions = []
        for member in items(found["action"]):
            action, refinements = self._action(member)
            for refinement in refinements:
                refuse("refinement", refinement.path, "terms do not refine what an action is; constrain the permission")
            if action not in _RIGHT_OF and action not in (_USE, _DERIVE):
                refuse("action", member.path, f"no right of a license is {shown(action)}")
            actions.append(action)
        conditions: dict[str, Any] = {}
        for constraint in items(found.get("constraint")):
            self._condition(constraint, conditions)
        return _Permission(item.path, tuple(actions), conditions, self._duties(found.get("duty")))

    def _action(self, member: Member) -> tuple[str, list[Member]]:
        """Return an action's IRI and its refinements."""
        if isinstance(member.value, str):
            return self._names.expand(member.value, member.path), []
        found = self._names.members(member.value, member.path, _ACTION)
        named = [found[name] for name in ("rdf:value", "uid") if name in found]
        if len(named) != 1:
            refuse("missing", member.path, "an action is named once, by rdf:value or @id")
        return self._names.expand(text(named[0]), named[0].path), list(items(found.get("refinement")))

    # --- duties

    def _duties(self, member: Member | None) -> _Duties:
        made = _Duties()
        seen: set[str] = set()
        for item in items(member):
            duty = self._names.members(item.value, item.path, _DUTY)
            self._names.check_type(duty.get("type"), "Duty")
            actions = list(items(duty.get("action")))
            if len(actions) != 1:
                refuse("several" if actions else "missing", item.path, "a duty has exactly one action")
            action, refinements = self._action(actions[0])
            name = action.removeprefix(ODRL)
            refinements += items(duty.get("constraint"))
            if name in seen:
                refuse("several", item.path, f"the permission has the duty {shown(name)} already")
            seen.add(name)
            if name == "compensate":
                made = made._replace(payment=self._payment(duty, item.path, refinements))
            elif name == "attribute":
                made = made._replace(attribution=self._attribution(duty, item.path, refinements))
            elif name == "obtainConsent":
                self._parties_of(duty, "consentingParty")
                for refinement in refinements:
                    refuse("refinement", refinement.path, "consent is given or not, without conditions of its own")
                made = made._replace(approval=True)
            else:
                refuse("duty", actions[0].path, f"no term of a license is the duty {shown(action)}")
        return made

    def _payment(self, duty: dict[str, Member], path: str, refinements: list[Member]) -> _Payment:
        self._parties_of(duty, "compensatedParty")
        name = self._names.identity(duty["uid"]) if "uid" in duty else None
        right, unit = self._only(path, refinements, ODRL + "payAmount", "the amount")
        if unit is None:
            refuse("unit", path, f"an amount without a unit could be of anything; credits are {CREDIT}")
        if self._names.iri(text(unit), unit.path) != CREDIT:
            refuse("unit", unit.path, f"a price is in credits of the network ({CREDIT}), not in {shown(unit.value)}")
        return _Payment(_check("price", whole(right), right.path), name)

    def _attribution(self, duty: dict[str, Member], path: str, refinements: list[Member]) -> str:
        named = duty.get("attributedParty")
        self._parties_of(duty, "attributedParty", must_be_assigner=False)
        if (named is None) == (not refinements):
            refuse("attribution", path, "say once whom to name: by attributedParty or by gm:attributionText")
        if named is not None:
            return str(_check("attribution", self._names.identity(named, "Party"), named.path))
        right, unit = self._only(path, refinements, ATTRIBUTION_TEXT, "the text")
        if unit is not None:
            refuse("unit", unit.path, "a text has no unit")
        if text(right) == "":
            refuse("attribution", right.path, "says nobody's name")
        return str(_check("attribution", text(right), right.path))

    def _only(self, path: str, refinements: list[Member], operand: str, what: str) -> tuple[Member, Member | None]:
        """Return right operand and unit of the one refinement `operand eq ...`."""
        if len(refinements) != 1:
            refuse("duty", path, f"says {what} by exactly one constraint or refinement, not {len(refinements)}")
        left, operator, right, unit = self._constraint(refinements[0])
        if left != operand:
            refuse("operand", refinements[0].path, f"{shown(left)} is nothing that this duty says")
        if operator != "eq":
            refuse("operator", refinements[0].path, f"{what} is stated with eq, not {shown(operator)}")
        return right, unit

    def _parties_of(self, duty: dict[str, Member], own: str, *, must_be_assigner: bool = True) -> None:
        for name in ("attributedParty", "compensatedParty", "consentingParty"):
            if name not in duty:
                continue
            if name != own:
                refuse("party", duty[name].path, f"this duty knows no {name}")
            assert self._parties is not None
            if must_be_assigner and self._names.identity(duty[name], "Party") != self._parties["assigner"]:
                refuse("party", duty[name].path, "must be the assigner: the chain divides payments by its own rules")

    # --- constraints

    def _constraint(self, item: Member) -> tuple[str, str, Member, Member | None]:
        found = self._names.members(item.value, item.path, _CONSTRAINT)
        self._names.check_type(found.get("type"), "Constraint")
        for name in ("leftOperand", "operator", "rightOperand"):
            if name not in found:
                refuse("missing", item.path, f"a constraint has a {name}")
        left = self._names.expand(text(found["leftOperand"]), found["leftOperand"].path)
        operator = self._names.expand(text(found["operator"]), found["operator"].path).removeprefix(ODRL)
        return left, operator, found["rightOperand"], found.get("unit")

    def _condition(self, item: Member, into: dict[str, Any]) -> None:
        """Add what one constraint of a permission says."""
        left, operator, right, unit = self._constraint(item)
        rules = _CONDITIONS.get(left)
        if rules is None:
            refuse("operand", item.path, f"no term of a license is a limit of {shown(left)}")
        field = rules.get(operator)
        if field is None:
            refuse("operator", item.path, f"{shown(operator)} does not map here, only {', '.join(rules)}")
        if unit is not None and field != "quota":
            refuse("unit", unit.path, "this operand has no unit here")
        if field in into:
            refuse("several", item.path, "says again what another constraint of this permission says")
        into[field] = _check(
            field if field != _END else "start_ms", _condition_value(field, operator, right), right.path
        )
        if field == "quota" and unit is not None:
            found = _UNIT_OF.get(self._names.iri(text(unit), unit.path))
            if found is None:
                refuse("unit", unit.path, f"a quota is in {', '.join(_UNIT_OF)}, not in {shown(unit.value)}")
            into["quota_unit"] = found

    # --- prohibitions

    def _prohibit(self, values: dict[str, Any], permitted: set[str]) -> None:
        strict = self._conflict()
        values["commercial"] = True
        for item in items(self._members.get("prohibition")):
            found = self._rule(item, "Prohibition", _PROHIBITION)
            for member in items(found["action"]):
                action, refinements = self._action(member)
                constraints = [*refinements, *items(found.get("constraint"))]
                overlaps = _USE in permitted or action in permitted
                if action == _USE:
                    self._deny_fields(item, constraints, values)
                    overlaps = not values.get("field_allow")
                elif constraints:
                    refuse(
                        "prohibition", constraints[0].path, "only use by purpose can be prohibited under a condition"
                    )
                elif action == COMMERCIAL_USE:
                    values["commercial"] = False
                elif action == _DERIVE:
                    values["derivatives"] = "no"
                else:
                    refuse(
                        "prohibition",
                        member.path,
                        f"terms only permit; that {shown(action)} is not permitted needs no rule",
                    )
                if overlaps and not strict:
                    refuse(
                        "conflict",
                        item.path,
                        'prohibits what is permitted too, which makes the policy void; say "conflict": "prohibit"',
                    )

    def _conflict(self) -> bool:
        """Say whether prohibitions count before permissions; ODRL's default is that a conflict voids the policy."""
        member = self._members.get("conflict")
        if member is None:
            return False
        name = self._names.expand(text(member), member.path).removeprefix(ODRL)
        if name not in ("prohibit", "invalid"):
            refuse("conflict", member.path, "what terms deny is denied: only prohibit and invalid map")
        return name == "prohibit"

    def _deny_fields(self, item: Member, constraints: list[Member], values: dict[str, Any]) -> None:
        if len(constraints) != 1:
            refuse("prohibition", item.path, "use is prohibited for exactly one constraint by purpose")
        left, operator, right, unit = self._constraint(constraints[0])
        if left != ODRL + "purpose" or operator not in ("eq", "isAnyOf") or unit is not None:
            refuse("prohibition", constraints[0].path, "use is prohibited by purpose, with eq or isAnyOf")
        if "field_deny" in values:
            refuse("several", item.path, "denies fields of use again")
        values["field_deny"] = _check("field_deny", _texts(right, operator), right.path)


_END: Final = "end_ms"
"""No field: together with a start it is the term."""
_CONDITIONS: Final[dict[str, dict[str, str]]] = {
    ODRL + "dateTime": {"gteq": "start_ms", "lt": _END},
    ODRL + "elapsedTime": {"lt": "term_ms", "lteq": "term_ms", "eq": "term_ms"},
    ODRL + "count": {"lteq": "quota"},
    ODRL + "spatial": {"eq": "territory", "isAnyOf": "territory"},
    ODRL + "purpose": {"eq": "field_allow", "isAnyOf": "field_allow", "neq": "field_deny", "isNoneOf": "field_deny"},
    PLACES["seats"].name: {"lteq": "seats"},
    PLACES["credentials"].name: {"eq": "credentials", "isAllOf": "credentials"},
}
"""Left operand -> operator -> field of the terms."""


def _condition_value(field: str, operator: str, right: Member) -> Any:
    if field in ("start_ms", _END):
        moment = read_date_time(typed(right, "dateTime", "date"))
        if moment is None:
            refuse(
                "time",
                right.path,
                "must be an xsd:dateTime or xsd:date with a time zone, to the millisecond, from 1970 on",
            )
        return moment
    if field == "term_ms":
        return _duration(right)
    if field in ("quota", "seats"):
        return whole(right)
    return _texts(right, operator)


def _duration(member: Member) -> int:
    found = read_duration(typed(member, "duration", "dayTimeDuration"))
    if found is None:
        refuse("time", member.path, "must be an xsd:duration in days, hours, minutes and seconds to the millisecond")
    return found


def _texts(right: Member, operator: str) -> tuple[str, ...]:
    values = [text(item) for item in items(right)]
    if not values or (operator in ("eq", "neq") and len(values) != 1):
        refuse("several", right.path, f"{operator} compares with {'one value' if values else 'something'}")
    return tuple(sorted(set(values)))


def _property(member: Member, kind: str) -> Any:
    if kind == "integer":
        return whole(member)
    if kind == "duration":
        return _duration(member)
    if kind == "flag":
        if not isinstance(member.value, bool):
            refuse("type", member.path, f"must be true or false, not {shown(member.value)}")
        return member.value
    return _texts(member, "isAllOf") if kind == "words" else text(member)


def _check(field: str, value: Any, path: str) -> Any:
    """Return the value as the field's type takes it. Raises OdrlRefused, `odrl.value`."""
    try:
        return msgspec.convert(value, _TYPES[field])
    except msgspec.ValidationError as error:
        refuse("value", path, f"{str(error)[:200]} (of {field})")


def _rights(actions: set[str], path: str) -> set[str]:
    if _USE in actions:
        return set(RIGHT_ACTIONS)
    rights = {_RIGHT_OF[action] for action in actions if action in _RIGHT_OF}
    for right in sorted(rights):
        missing = [action for action in RIGHT_ACTIONS[right] if action not in actions]
        if missing:
            refuse("action", path, f"the right {right} is given as a whole: {', '.join(missing)} must be permitted too")
    if not rights:
        refuse("action", path, "a license gives a right; derivatives alone are none")
    return rights


def _derivatives(permissions: list[_Permission]) -> str:
    derive = [permission for permission in permissions if {_USE, _DERIVE} & set(permission.actions)]
    for permission in permissions:
        if permission.duties.approval and permission.actions != (_DERIVE,):
            refuse("duty", permission.path, "only derivatives can be on approval, by a permission of their own")
    if not derive:
        return "no"
    # A permission without the condition stands beside one with it, and needs no consent.
    return "on-approval" if all(permission.duties.approval for permission in derive) else "yes"


def _settle_quota(values: dict[str, Any], path: str) -> dict[str, Any]:
    """Give an unnamed count its unit, and turn an end into a term."""
    if "quota" in values and "quota_unit" not in values:
        values["quota_unit"] = "trainings" if set(values["rights"]) <= _TRAINING else "calls"
    end = values.pop(_END, None)
    if end is not None:
        if "start_ms" not in values:
            refuse("time", path, "an end needs a beginning (dateTime gteq): a term counts from there")
        if "term_ms" in values:
            refuse("several", path, "has an end and an elapsed time")
        values["term_ms"] = _check("term_ms", end - values["start_ms"], path)
    return values
