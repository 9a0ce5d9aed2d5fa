"""The chapters in which others say what a model is worth: measured again by who is accredited for it, rated by who has
paid for it, and what both make of its creator's reputation."""

from __future__ import annotations

from typing import Final

from guildmark.demo import cast
from guildmark.demo.narrator import percent
from guildmark.demo.stage import Stage
from guildmark.models.reevaluation import reevaluate, state

SCALE: Final = 1_000_000
"""The whole of a rating and of a score, and the unit of weights."""


def evaluation(stage: Stage) -> None:
    """The consortium accredits the buyer, who puts up a bond, measures the model again and signs what it found."""
    tell = stage.narrator
    assert stage.model is not None
    assert stage.bought is not None
    evaluator = stage.client(cast.BUYER)
    accredit(stage)
    accreditation = evaluator.accreditations.post_bond()
    tell.check(
        accreditation["active"],
        f"{cast.NAMES[cast.BUYER]} is accredited to evaluate, with {accreditation['posted']:,} credits as its bond",
    )
    with tell.bar("loading the model in a confined child process", 1) as bar:
        found = reevaluate(
            evaluator,
            stage.model.asset,
            stage.dataset_asset(),
            directory=stage.directory,
            version=1,
            model_copy=stage.bought[0],
            dataset_copy=stage.bought[1],
            on_samples=lambda done, total: bar.reach(done / total, f"{done} of {total} samples"),
        )
        bar.reach(1, f"{found.evaluation.samples} samples")
    withheld = ", ".join(found.evaluation.isolation) or "nothing beyond its limits"
    tell.say(f"kept from the child by the system: {withheld}")
    assert found.claim is not None, "the registration named the data set"
    tell.table(
        "",
        ["accuracy", "claimed", "measured", "least", "greatest"],
        [
            [
                found.verdict,
                percent(found.claim.value_ppm),
                percent(found.measured.value_ppm),
                percent(found.measured.least_ppm),
                percent(found.measured.greatest_ppm),
            ]
        ],
    )
    tell.check(found.verdict == "reproduced", "no order of floating-point additions gives another verdict")
    statement = evaluator.attestations.get(state(evaluator, found))
    tell.check(statement["counts"], f"the signed statement {statement['statement'][:16]}… is on the ledger, and counts")
    (claim,) = evaluator.assets.version(stage.model.asset, 1)["claims"]
    tell.check(
        (claim["reproduced"], claim["contradicted"]) == (1, 0),
        f"whoever looks at the model reads: accuracy {percent(claim['claimed_ppm'])}, {claim['standing']}",
    )
    tell.fact(reproduced_ppm=found.measured.value_ppm, statement=statement["statement"])


def reputation(stage: Stage) -> None:
    """The buyer rates what it has paid for, and the creator's score is shown with all that it rests on."""
    tell = stage.narrator
    maker, buyer = stage.client(cast.MAKER), stage.client(cast.BUYER)
    name = cast.NAMES[cast.MAKER]
    buyer.attestations.review(stage.license, 1, cast.RATING_PPM)
    tell.say(f"{cast.NAMES[cast.BUYER]} reviews the license that it has paid for: {percent(cast.RATING_PPM)}")
    evidence = maker.reputation.evidence()
    tell.table(
        f"what speaks for and against {name}, in millionths",
        ["evidence", "by", "rating", "weight at first", "for, now", "against, now"],
        [
            [
                piece["kind"],
                cast.NAMES[piece["organization"]],
                percent(piece["rating_ppm"]),
                f"{piece['original']:,}",
                f"{piece['weight_for']:,}",
                f"{piece['weight_against']:,}",
            ]
            for piece in evidence
        ],
    )
    tell.check(
        sorted(piece["kind"] for piece in evidence) == ["evaluation", "review"],
        "nothing else counts: one evaluation by its tier, one review by the square root of what was paid",
    )
    standing = maker.reputation.score()
    praise, criticism = standing["weight_for"], standing["weight_against"]
    score = SCALE * (praise + 2 * SCALE) // (praise + criticism + 4 * SCALE)
    tell.check(
        standing["score_ppm"] == score > SCALE // 2,
        f"the score of {name} is {percent(score)}, at a confidence of {percent(standing['confidence_ppm'])}; "
        "whoever adds these weights up gets the same",
    )
    tell.check(
        stage.client(cast.OUTSIDER).reputation.score()["confidence_ppm"] == 0,
        f"of {cast.NAMES[cast.OUTSIDER]} nobody knows anything: 50.00 %, at a confidence of 0",
    )
    tell.fact(score_ppm=score, confidence_ppm=standing["confidence_ppm"])


def accredit(stage: Stage) -> None:
    """More than two thirds of the organizations decide whom they trust to measure."""
    tell = stage.narrator
    voters = [stage.client(name) for name in (cast.DATA_OWNER, cast.MAKER, cast.OUTSIDER)]
    now_ms = voters[0].network_time_ms()
    proposal = voters[0].accreditations.propose(
        stage.client(cast.BUYER).signer(),
        ("evaluate",),
        tier=cast.EVALUATOR_TIER,
        bond=cast.EVALUATOR_BOND,
        until_ms=now_ms + cast.ACCREDITED_FOR_MS,
    )
    for voter in voters:
        decided = voter.governance.vote(proposal["proposal"], True)
    tell.check(decided["state"] == "approved", f"{len(voters)} of 4 organizations vote for the accreditation: approved")
