"""The long campaign: many random lives of a ledger beside the reference, and a table of everything that happened.

    python -m tests.property.ledger_campaign --operations 100000 --seed 1 [--table FILE]

(`make ledger-campaign OPERATIONS=100000 SEED=1`.) Every life has a genesis and 150 blocks, compared at every height,
finished and replayed. A life that fails is shrunk to the blocks and transactions that matter, and printed with its
seed.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import NamedTuple, TypeVar

from ledger.operations import default_registry
from ledger.operations_page import error_codes
from tests.property.pairing_kit import OPERATIONS, Attempt, Pair, Step, random_genesis, random_steps

BLOCKS_A_LIFE = 150
SEEDS_APART = 1_000_003
FULL = 100_000
"""From so many operations on, a code that did not occur is a failure: the situations have grown one-sided."""

_BOUND = "a bound that a random life is too short for; tests/unit reaches it"
_QUOTA = "quotas are far away here, because bytes of records are not the reference's business; tests/unit reaches them"
_MEMBERS = "of the validator set and the members, which have random tests of their own"
UNREACHED: dict[str, str] = {
    **{
        f"governance.{reason}": _MEMBERS
        for reason in (
            "already_suspended",
            "change_pending",
            "founding_accounts",
            "invalid_key",
            "key_of_account",
            "key_taken",
            "node_id",
            "node_taken",
            "not_suspended",
            "organization_exists",
            "organization_validates",
            "power",
            "tls_certificate",
            "too_few_organizations",
            "too_few_validators",
            "too_many_changes",
            "too_many_organizations",
            "too_many_validators",
            "unknown_organization",
            "unknown_validator",
            "validator_account",
        )
    },
    "organizations.quota_bytes": _QUOTA,
    "organizations.quota_deadlines": _QUOTA,
    "organizations.quota_records": _QUOTA,
    "organizations.role_reserved": "decoding refuses such a role before the rule is asked",
    "organizations.organization_exists": "part of admission, which is not modeled",
    "contributions.too_many_of_contributor": _BOUND,
    "contributions.too_many_of_organization": _BOUND,
    "contributions.too_many_on_asset": _BOUND,
    "credits.amount_invalid": "decoding refuses such an amount before the rule is asked",
    "assets.not_a_validator": "only a validator's key signs such a statement, and none of them leaves here",
    "assets.derivation_denied_uses": _BOUND,
    "assets.derivation_terms": _BOUND,
    "assets.too_many_consents": _BOUND,
    "disputes.dispute_exists": "a second claim of an organization about a thing is refused before",
    "disputes.too_many_disputes": "a claim of each of nine organizations, and there are four here",
    "licenses.family_too_large": _BOUND,
    "licenses.lineage_too_large": _BOUND,
    "licenses.terms_no_rights": "decoding refuses terms without rights before the rule is asked",
    "licenses.too_many_grants": _BOUND,
    "licenses.too_many_reserving": _BOUND,
    "licenses.too_many_waiting": _BOUND,
    "market.too_many_terms": _BOUND,
    "royalties.lineage_too_large": _BOUND,
    "royalties.too_many_ancestors": _BOUND,
    "royalties.too_many_parents": _BOUND,
    "transfers.too_many_owners": _BOUND,
    "development.not_a_development_network": "only a development network has a clock to advance",
}
"""Codes that no campaign reaches, and why not."""

T = TypeVar("T")


class Result(NamedTuple):
    """What a campaign did."""

    lives: int
    blocks: int
    operations: int
    swept: int
    outcomes: Counter[tuple[str, str]]
    events: Counter[str]


class LifeFailed(Exception):
    """The two ledgers differ, or a law is broken."""


def live(seed: int, steps: Sequence[Step]) -> Pair:
    """Run one life to its end, and replay it."""
    ends = seed % 5 == 4
    pair = Pair(random_genesis(seed, ends=ends), lineages=seed % 3 == 0, ends=ends)
    pair.run(steps)
    pair.finish()
    pair.replay()
    return pair


def campaign(operations: int, seed: int, report: Callable[[str], object] = lambda _: None) -> Result:
    """Run lives until so many operations were sent.

    Raises:
        LifeFailed: with the life's seed, and the shortest list of steps that still fails.
    """
    lives = blocks = sent = swept = 0
    outcomes: Counter[tuple[str, str]] = Counter()
    events: Counter[str] = Counter()
    while sent < operations:
        life_seed = seed * SEEDS_APART + lives
        steps = random_steps(Random(life_seed), BLOCKS_A_LIFE)
        try:
            pair = live(life_seed, steps)
        except Exception as error:
            rest = shrunk(steps, partial(fails, life_seed))
            raise LifeFailed(
                f"seed {life_seed}: {why(life_seed, rest)}\nreproduced by live({life_seed}, {rest})"
            ) from error
        lives, blocks, sent, swept = lives + 1, blocks + pair.chain.height, sent + pair.operations, swept + pair.swept
        outcomes += pair.outcomes + pair.reasons
        events += pair.events
        if lives % 50 == 0:
            report(f"{lives} lives, {blocks} blocks, {sent} operations")
    return Result(lives, blocks, sent, swept, outcomes, events)


def why(seed: int, steps: Sequence[Step]) -> str:
    """Say how a life fails; nothing where it does not."""
    try:
        live(seed, steps)
    except Exception as error:
        return str(error) or repr(error)
    return ""


def fails(seed: int, steps: Sequence[Step]) -> bool:
    return why(seed, steps) != ""


def shrunk(steps: list[Step], broken: Callable[[list[Step]], bool]) -> list[Step]:
    """Leave out blocks, then transactions, as long as it stays broken."""
    steps = _without(steps, broken)
    for index in range(len(steps)):
        put = partial(_with_attempts, steps, index)
        kept = _without(list(steps[index].attempts), partial(_still, broken, put))
        steps = put(kept)
    return steps


def _with_attempts(steps: list[Step], index: int, attempts: list[Attempt]) -> list[Step]:
    return [*steps[:index], steps[index]._replace(attempts=tuple(attempts)), *steps[index + 1 :]]


def _still(
    broken: Callable[[list[Step]], bool], put: Callable[[list[Attempt]], list[Step]], attempts: list[Attempt]
) -> bool:
    return broken(put(attempts))


def _without(items: list[T], broken: Callable[[list[T]], bool]) -> list[T]:
    size = max(1, len(items) // 2)
    while size:
        start = 0
        while start < len(items):
            fewer = items[:start] + items[start + size :]
            if broken(fewer):
                items = fewer
            else:
                start += size
        size //= 2
    return items


def unreached(outcomes: Counter[tuple[str, str]]) -> list[str]:
    """Return the codes of the modeled modules that did not occur and have no excuse."""
    modules = {tag.split(".")[0] for tag in OPERATIONS}
    codes = {code for code in error_codes(default_registry()) if code.split(".")[0] in modules}
    return sorted(codes - {code for _, code in outcomes} - set(UNREACHED))


def table(result: Result) -> str:
    """Write the counts as Markdown: a row an operation, its codes by how often they occurred."""
    rows = []
    for tag in sorted({tag for tag, _ in result.outcomes}):
        codes = Counter({code: count for (of, code), count in result.outcomes.items() if of == tag and code})
        often = sorted(codes.items(), key=lambda item: (-item[1], item[0]))
        told = ", ".join(f"`{code}` {count:,}" for code, count in often)
        rows.append(f"| `{tag}` | {result.outcomes[tag, '']:,} | {codes.total():,} | {told} |")
    happened = [f"`{name}` {count:,}" for name, count in sorted(result.events.items())]
    missing = unreached(result.outcomes)
    return "\n".join(
        [
            "| operation | done | refused | with what code |",
            "|---|---:|---:|---|",
            *rows,
            "",
            f"Events: {', '.join(happened)}.",
            "",
            f"Codes that did not occur, without an excuse in `UNREACHED`: {', '.join(missing) or 'none'}.",
            "",
        ]
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--operations", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--table", type=Path, help="write the table of counts here")
    options = parser.parse_args()
    began = time.monotonic()
    try:
        result = campaign(options.operations, options.seed, lambda line: sys.stdout.write(line + "\n"))
    except LifeFailed as failure:
        sys.stdout.write(f"{failure}\n")
        return 1
    written = table(result)
    if options.table is not None:
        options.table.write_text(written)
    else:
        sys.stdout.write(written)
    seconds = time.monotonic() - began
    sys.stdout.write(
        f"{result.operations:,} operations in {result.blocks:,} blocks of {result.lives} ledgers, and {result.swept:,}"
        f" deadlines; no difference in {seconds:.0f} s\n"
    )
    return 1 if options.operations >= FULL and unreached(result.outcomes) else 0


if __name__ == "__main__":
    raise SystemExit(main())
