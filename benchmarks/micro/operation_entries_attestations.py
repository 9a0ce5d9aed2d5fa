"""What `operation_costs` measures of attestations, as `operation_entries_core` does of what they stand on."""

from __future__ import annotations

from typing import Final

from benchmarks.micro.operation_entry import TERMS, Ready, entry
from benchmarks.micro.operation_world import World
from ledger.modules.attestations import accreditation
from ledger.modules.attestations import operations as attestations
from ledger.parameters import DAY_MS

TEXT: Final = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"


def accredited(world: World, name: str = "dogwood", *, posted: bool = True) -> bytes:
    """Let an account evaluate and audit, as a vote would."""
    account, context = world.accounts[name], world.context(world.view, world.accounts["alder"], world.fresh_id())
    terms = accreditation.Terms(account, ("evaluate", "audit"), 5, 1_000_000, world.now_ms + 30 * DAY_MS)
    accreditation.accredit(context, terms, bytes(32))
    if posted:
        world.do(name, attestations.PostBond(account))
    return account


def _measured(world: World, supersedes: bytes | None = None) -> attestations.Evaluate:
    return attestations.Evaluate(
        _asset(world),
        1,
        "accuracy",
        900_000,
        10_000,
        _asset(world, "birch", "data"),
        1,
        bytes(32),
        bytes(32),
        TEXT,
        supersedes,
        world.now_ms + DAY_MS,
    )


def _asset(world: World, owner: str = "alder", label: str = "work") -> bytes:
    return world.register(owner, label)


@entry("attestations.post_bond")
def _post_bond(world: World) -> Ready:
    account = accredited(world, posted=False)
    return Ready(account, attestations.PostBond(account))


@entry("attestations.resign")
def _resign(world: World) -> Ready:
    return Ready(accredited(world), attestations.Resign())


@entry("attestations.evaluate", "for the first time")
def _evaluate(world: World) -> Ready:
    return Ready(accredited(world), _measured(world))


@entry("attestations.evaluate", "anew")
def _evaluate_anew(world: World) -> Ready:
    account, first = accredited(world), _measured(world)
    latest = attestations.statement_id(world.do(account, first), first)
    fields = {name: getattr(first, name) for name in first.__struct_fields__} | {"supersedes": latest}
    return Ready(account, attestations.Evaluate(**fields))


@entry("attestations.audit")
def _audit(world: World) -> Ready:
    return Ready(accredited(world), attestations.Audit(_asset(world), 1, "passed", TEXT))


@entry("attestations.review")
def _review(world: World) -> Ready:
    grant = world.license("alder", _asset(world), "birch", TERMS)
    return Ready(world.accounts["birch"], attestations.Review(grant, 1, 800_000, TEXT))


@entry("attestations.answer")
def _answer(world: World) -> Ready:
    account, said = accredited(world), _measured(world)
    statement = attestations.statement_id(world.do(account, said), said)
    return Ready(world.accounts["alder"], attestations.Answer(statement, TEXT))
