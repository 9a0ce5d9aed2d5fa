"""`guildmark governance` and `guildmark validators`: who validates, who is a member, and how the consortium decides.
What waits before it takes effect is proposed by `guildmark.cli.decisions`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import rich_click as click

from guildmark.cli import accreditation, decisions
from guildmark.cli.numbers import Whole
from guildmark.cli.output import emit, emit_table, minute, note
from guildmark.cli.proposals import TITLE, proposal_about, show_proposal
from guildmark.cli.session import Session, with_session
from guildmark.cli.votes import vote_option

_MEMBER = click.argument("member", type=click.Path(path_type=Path, dir_okay=False), metavar="MEMBER.toml")
REASONS = ("unlawful", "infringing", "personal-data", "malicious", "other")
STATES = ("open", "approved", "rejected", "expired", "lapsed", "waiting", "executed", "failed", "stopped")


@click.group()
def governance() -> None:
    """Propose changes of the validators, the members, the parameters and the credits, and vote on them: one vote an
    organization."""


@governance.group()
def propose() -> None:
    """Propose a change to all organizations. More than two thirds of them must approve, if it is not a payment."""


remove = proposal_about(
    "remove",
    "NODE_ID",
    "Let the validator NODE_ID go, or withdraw a candidate. `guildmark validators list` shows the ids.",
    lambda _, client, node_id, title: client.governance.propose_remove(node_id, title),
)
suspend = proposal_about(
    "suspend",
    "ORGANIZATION",
    "Let ORGANIZATION begin nothing new. What runs goes on, its vote and its validators too.",
    lambda _, client, organization, title: client.governance.propose_suspension(organization, title),
)
reinstate = proposal_about(
    "reinstate",
    "ORGANIZATION",
    "Make ORGANIZATION, which was suspended or removed, a full member again.",
    lambda _, client, organization, title: client.governance.propose_reinstatement(organization, title),
)
expel = proposal_about(
    "expel",
    "ORGANIZATION",
    "Remove ORGANIZATION, which has no validator any more, from the consortium. It keeps what it owns.",
    lambda _, client, organization, title: client.governance.propose_expulsion(organization, title),
)
restore = proposal_about(
    "restore",
    "ARTIFACT",
    "Bring ARTIFACT back, which was taken down.",
    lambda _, client, artifact, title: client.governance.propose_restoration(artifact, title),
)
for _command in (
    *(remove, suspend, reinstate, expel, restore),
    *(decisions.propose_parameters, decisions.mint, decisions.burn, decisions.pay),
    *accreditation.PROPOSALS,
):
    propose.add_command(_command)
governance.add_command(decisions.object_)


@propose.command("add")
@_MEMBER
@TITLE
@with_session(nodes=True, account=True)
def add(session: Session, member: Path, title: str) -> None:
    """Let in the validator that MEMBER.toml describes; `guildmark node keys create` writes that file.

    An organization that is new to the consortium comes in with it, and with the accounts that the file names.
    """
    with session.client(acting=True) as client:
        show_proposal(client.governance.propose_add(member, title), json=session.json)


@propose.command("rekey")
@click.argument("node_id")
@_MEMBER
@TITLE
@with_session(nodes=True, account=True)
def rekey(session: Session, node_id: str, member: Path, title: str) -> None:
    """Give the validator NODE_ID the keys and the address of MEMBER.toml."""
    with session.client(acting=True) as client:
        show_proposal(client.governance.propose_rekey(node_id, member, title), json=session.json)


_ORGANIZATION = click.argument("organization")


@propose.command("admit")
@_ORGANIZATION
@click.option("--name", required=True, help="The organization's name for people.")
@click.option("--key", "keys", multiple=True, required=True, metavar="DID:KEY", help="Of a first account; up to 8.")
@TITLE
@with_session(nodes=True, account=True)
def admit(session: Session, organization: str, name: str, keys: tuple[str, ...], title: str) -> None:
    """Let ORGANIZATION (an id such as elm) in without a validator. The keys are those of its first accounts.

    The proposal lists the accounts' ids as founding_accounts, in the order of the keys.
    """
    named = {session.resolve_key(key): f"account {index}" for index, key in enumerate(keys, 1)}
    if len(named) < len(keys):
        raise click.UsageError("--key: one is given twice")
    with session.client(acting=True) as client:
        show_proposal(client.governance.propose_admission(organization, name, named, title), json=session.json)


@propose.command("quota")
@_ORGANIZATION
@click.option("--records", type=Whole(100, 10**9), help="Records.")
@click.option("--bytes", "size_bytes", type=Whole(10**5, 10**12), help="Bytes of their keys and values.")
@click.option("--deadlines", type=Whole(10, 10**7), help="Deadlines that are open.")
@click.option("--default", "default", is_flag=True, help="What the chain's parameters say.")
@TITLE
@with_session(nodes=True, account=True)
def quota(
    session: Session,
    organization: str,
    records: int | None,
    size_bytes: int | None,
    deadlines: int | None,
    default: bool,
    title: str,
) -> None:
    """Say what the records of ORGANIZATION may take up. What is not named stays as it is."""
    from ledger.modules.organizations.operations import Quota

    named = (records, size_bytes, deadlines)
    if default != (named == (None, None, None)):
        raise click.UsageError("name a limit (--records, --bytes, --deadlines), or --default alone")
    with session.client(acting=True) as client:
        chosen = None
        if not default:
            now = client.organizations.get(organization)
            present = (now["quota_records"], now["quota_bytes"], now["quota_deadlines"])
            chosen = Quota(*(old if new is None else new for new, old in zip(named, present, strict=True)))
        show_proposal(client.governance.propose_quota(organization, chosen, title), json=session.json)


@propose.command("recover")
@click.argument("who")
@click.argument("key")
@TITLE
@with_session(nodes=True, account=True)
def recover(session: Session, who: str, key: str, title: str) -> None:
    """Give the account WHO (gm1... or a key's name) the one owner KEY (did:key or a key's name) at once.

    Where its organization cannot by itself: nobody else speaks for it, or its owners have vetoed.
    """
    with session.client(acting=True) as client:
        show_proposal(
            client.governance.propose_recovery(session.resolve(who), session.resolve_key(key), title),
            json=session.json,
        )


@propose.command("take-down")
@click.argument("artifact")
@click.option("--reason", required=True, type=click.Choice(REASONS), help="Why.")
@click.option("--report", default=None, metavar="CID", help="Of a longer explanation.")
@TITLE
@with_session(nodes=True, account=True)
def take_down(session: Session, artifact: str, reason: Any, report: str | None, title: str) -> None:
    """Let nobody serve, fetch or newly license the bytes of ARTIFACT, a registered version's CID. Records stay."""
    with session.client(acting=True) as client:
        show_proposal(
            client.governance.propose_takedown(artifact, reason, report=report, title=title), json=session.json
        )


@governance.command("takedowns")
@with_session(nodes=True)
def takedowns(session: Session) -> None:
    """List the artifacts that are down."""
    with session.client() as client:
        found = client.governance.takedowns()
    emit_table(found, ("cid", "reason", "report", "proposal"), json=session.json)


@governance.command("vote")
@click.argument("proposal")
@vote_option("approve", "It stands once it is cast.")
@with_session(nodes=True, account=True)
def vote(session: Session, proposal: str, approve: bool) -> None:
    """Cast the vote of the acting account's organization on PROPOSAL."""
    with session.client(acting=True) as client:
        show_proposal(client.governance.vote(proposal, approve), json=session.json)


@governance.command("list")
@click.option("--state", type=click.Choice(STATES))
@with_session(nodes=True)
def list_proposals(session: Session, state: Any) -> None:
    """List the proposals, the oldest first."""
    with session.client() as client:
        found = client.governance.proposals(state or "")
    columns = ("proposal", "state", "change", "approve", "refuse", "closes", "title")
    emit_table(found, columns, json=session.json, shown=_row)


def _row(item: dict[str, Any]) -> dict[str, Any]:
    return item | {
        "change": item["change"]["kind"],
        "approve": f"{len(item['approvals'])} of {item['organizations']}",
        "refuse": len(item["refusals"]),
        "closes": minute(item["executes_at_ms"] or item["closes_at_ms"]),
    }


@governance.command("show")
@click.argument("proposal")
@with_session(nodes=True)
def show(session: Session, proposal: str) -> None:
    """Show PROPOSAL: what it changes, who has voted and objected, how many that takes, when it takes effect, or why it
    failed."""
    with session.client() as client:
        show_proposal(client.governance.proposal(proposal), json=session.json)


@click.group()
def validators() -> None:
    """Show who validates, and who will."""


@validators.command("list")
@click.option("--epoch", type=Whole(0), help="An earlier epoch; the next block's by default.")
@with_session(nodes=True)
def list_validators(session: Session, epoch: int | None) -> None:
    """List the validators of an epoch by index, and for the current one what waits to change the set."""
    with session.client() as client:
        members = client.governance.validators(epoch)
        current = {} if epoch is not None else client.governance.epoch()
        pending = [] if epoch is not None else client.governance.pending()
    if session.json:
        emit({"epoch": current or {"epoch": epoch}, "validators": members, "pending": pending}, json=True)
        return
    emit_table(members, ("index", "organization", "node_id", "address", "incarnation"), json=False)
    for change in pending:
        waits = "for the epoch's end" if change["ready"] else "for the new node to say that it follows"
        note(f"{change['kind']} {change['node_id']}: approved, waits {waits}")
    if current.get("end"):
        note(f"Epoch {current['epoch']} ends with block {current['end']}.")
