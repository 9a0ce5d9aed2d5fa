"""`guildmark dispute`: claims, answers, votes and appeals about assets, versions and licenses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import rich_click as click

from guildmark.cli.evidence import read_evidence
from guildmark.cli.numbers import PRICE, UNITS
from guildmark.cli.output import emit, emit_table, minute
from guildmark.cli.pages import every
from guildmark.cli.session import Session, with_session
from guildmark.cli.things import read_version
from guildmark.cli.votes import vote_option

if TYPE_CHECKING:
    from ledger.modules.disputes.operations import Subject

_RELIEFS = ("freeze_sales", "transfer_back", "refund", "payment", "lift", "refute")
_GROUNDS = ("infringement", "wrong-content", "unpaid", "settled", "false-statement")
_STATEMENT = click.option("--statement", default="", help="What everybody reads; at most 1024 characters.")
_EVIDENCE = click.option(
    "--evidence", metavar="CID|FILE", callback=read_evidence, help="What proves it: its CID, or the file."
)


@click.group("dispute")
def dispute() -> None:
    """Claim what is yours, answer, and decide what others claim: by votes of the organizations that are no party."""


@dispute.command("file")
@click.option("--asset", metavar="ASSET", help="About a whole asset.")
@click.option("--version", metavar="ASSET:VERSION", help="About one version.")
@click.option("--grant", metavar="GRANT", help="About a license.")
@click.option("--freeze", metavar="DISPUTE", help="About a freeze: that its asset may be sold again.")
@click.option("--attestation", metavar="STATEMENT", help="About an evaluation, an audit or a review.")
@click.option("--relief", type=click.Choice(_RELIEFS), required=True, help="What is asked for.")
@click.option("--ground", type=click.Choice(_GROUNDS), help="Follows from the relief when it is not given.")
@click.option("--amount", type=PRICE, help="In dispute; of a refund the price, to refute of the bond.")
@click.option(
    "--bond",
    type=UNITS,
    help="The least by default: a tenth of the amount, and no less than the network's parameter dispute_bond_min.",
)
@click.option(
    "--evidence",
    metavar="CID|FILE",
    required=True,
    callback=read_evidence,
    help="What proves the claim: its CID, or the file.",
)
@_STATEMENT
@with_session(nodes=True, account=True)
def file(
    session: Session,
    asset: str | None,
    version: str | None,
    grant: str | None,
    freeze: str | None,
    attestation: str | None,
    **claimed: Any,
) -> None:
    """File a claim with a bond. Nothing is carried out before the arbiters have decided."""
    subject = _read_subject(asset, version, grant, freeze, attestation)
    with session.client(acting=True) as client:
        identifier = client.disputes.file(subject, **claimed)
        emit(client.disputes.get(identifier), json=session.json)


@dispute.command("answer")
@click.argument("dispute_id")
@click.option("--bonded", is_flag=True, help="Put up the claimant's bond too: whoever wins gets both.")
@_EVIDENCE
@_STATEMENT
@with_session(nodes=True, account=True)
def answer(session: Session, dispute_id: str, **said: Any) -> None:
    """Answer a claim against the acting account."""
    with session.client(acting=True) as client:
        emit(client.disputes.answer(dispute_id, **said), json=session.json)


@dispute.command("vote")
@click.argument("dispute_id")
@vote_option("uphold", "Whether the claim is right. It stands.")
@with_session(nodes=True, account=True)
def vote(session: Session, dispute_id: str, uphold: bool) -> None:
    """Cast the vote of the acting account's organization."""
    with session.client(acting=True) as client:
        emit(client.disputes.vote(dispute_id, uphold), json=session.json)


@dispute.command("appeal")
@click.argument("dispute_id")
@click.option("--bond", type=UNITS, help="The least by default: twice the claim's.")
@_EVIDENCE
@_STATEMENT
@with_session(nodes=True, account=True)
def appeal(session: Session, dispute_id: str, **said: Any) -> None:
    """Have the arbiters vote once more, when the acting account has lost."""
    with session.client(acting=True) as client:
        emit(client.disputes.appeal(dispute_id, **said), json=session.json)


@dispute.command("lift")
@click.argument("dispute_id")
@with_session(nodes=True, account=True)
def lift(session: Session, dispute_id: str) -> None:
    """Let the asset be sold again whose sales the acting account's claim has frozen."""
    with session.client(acting=True) as client:
        emit(client.disputes.lift(dispute_id), json=session.json)


@dispute.command("show")
@click.argument("dispute_id")
@with_session(nodes=True)
def show(session: Session, dispute_id: str) -> None:
    """Show a dispute, what was said in it, and the votes."""
    with session.client() as client:
        emit(client.disputes.get(dispute_id), json=session.json)


@dispute.command("list")
@click.argument("asset", required=False)
@click.option("--party", help="With an account as a party: gm1... or a key's name.")
@click.option("--lost-by", "lost", help="That an account has lost: gm1... or a key's name.")
@with_session(nodes=True, account=True)
def list_disputes(session: Session, asset: str | None, party: str | None, lost: str | None) -> None:
    """List disputes: all open ones, those about ASSET, or those that an option names."""
    with session.client() as client:
        account = None if party is None else session.resolve(party)
        loser = None if lost is None else session.resolve(lost)
        found = every(
            lambda after: client.disputes.find(asset=asset, account=account, lost=loser, after=after), "dispute"
        )
    columns = ("dispute", "state", "relief", "ground", "amount", "until")
    emit_table(found, columns, json=session.json, shown=_row)


def _row(item: dict[str, Any]) -> dict[str, Any]:
    until = "" if item["due_ms"] is None else minute(item["due_ms"])
    return item | {"state": item["outcome"] or item["state"], "until": until}


@dispute.command("debts")
@click.option("--of", "debtor", help="gm1... or a key's name; the acting account by default.")
@click.option("--to", "creditor", help="What is owed to an account: gm1... or a key's name.")
@with_session(nodes=True, account=True)
def debts(session: Session, debtor: str | None, creditor: str | None) -> None:
    """List what an account owes by disputes, or what is owed to one."""
    if debtor is not None and creditor is not None:
        raise click.UsageError("name a debtor with --of, or a creditor with --to")
    with session.client() as client:
        owed_to = None if creditor is None else session.resolve(creditor)
        owed_by = None if creditor is not None else session.resolve(debtor or session.account_name())
        rows = every(lambda after: client.disputes.debts(owed_by, creditor=owed_to, after=after), "debt")
    emit_table(rows, ("debt", "owed", "amount", "debtor", "creditor"), json=session.json)


@dispute.command("collect")
@click.argument("debt_id")
@with_session(nodes=True, account=True)
def collect(session: Session, debt_id: str) -> None:
    """Pay a debt from what its debtor has now. Anyone may ask for it."""
    with session.client(acting=True) as client:
        emit(client.disputes.collect(debt_id), json=session.json)


def _read_subject(
    asset: str | None, version: str | None, grant: str | None, freeze: str | None, attestation: str | None
) -> Subject:
    """Turn the options into a subject. Raises a usage error."""
    from guildmark import disputes

    if [asset, version, grant, freeze, attestation].count(None) != 4:
        raise click.UsageError("name exactly one of --asset, --version, --grant, --freeze and --attestation")
    if asset is not None:
        return disputes.asset(asset)
    if grant is not None:
        return disputes.grant(grant)
    if freeze is not None:
        return disputes.freeze(freeze)
    if attestation is not None:
        return disputes.attestation(attestation)
    assert version is not None
    return disputes.version(*read_version("--version", version))
