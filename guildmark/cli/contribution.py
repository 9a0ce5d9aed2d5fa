"""`guildmark contribution` and `guildmark bounty`: versions proposed to others' assets, and what is paid for them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from guildmark.cli.consents import consent_options, emit_prepared, read_prepared
from guildmark.cli.evidence import read_evidence
from guildmark.cli.model_evaluation import warn_unmeasurable
from guildmark.cli.numbers import UNITS, VERSION, Whole, bps, millionths
from guildmark.cli.output import emit, emit_table, minute, note, progress
from guildmark.cli.pages import every
from guildmark.cli.provenance import RIGHTS, TENSORS_DIGEST, provenance_options, read_digest, read_provenance
from guildmark.cli.session import Session, pairs, with_session
from guildmark.cli.things import read_version
from guildmark.errors import WalletError

if TYPE_CHECKING:
    from guildmark.contributions import Condition

HOUR_MS = 3_600_000
HOURS = Whole(1, unit="hours")
BPS = bps(0, 9_999)


@click.group("contribution")
def contribution() -> None:
    """Propose versions of others' assets, talk about them, and decide on those that are proposed to yours."""


@contribution.command("propose")
@click.argument("asset")
@click.argument("path", type=click.Path(path_type=Path, exists=True))
@click.option("--right", type=click.Choice(RIGHTS), default="fine-tune", show_default=True, help="It was made by.")
@click.option("--grant", metavar="GRANT", help="The license that gives the right, unless you own a share.")
@click.option("--parent-version", type=VERSION, help="The version that it is made from; the latest one by default.")
@click.option("--message", default="", help="For those who decide; it becomes the version's notes.")
@click.option("--share-bps", type=BPS, default=0, show_default=True, help="The least share of the asset you want.")
@click.option("--bounty", metavar="BOUNTY", help="The bounty that you want.")
@click.option("--hours", type=HOURS, default=336, show_default=True, help="How long it waits for a decision.")
@TENSORS_DIGEST
@provenance_options
@with_session(nodes=True, account=True)
def propose(session: Session, asset: str, path: Path, **options: Any) -> None:
    """Propose the file or directory PATH as the next version of ASSET.

    Nobody can take it from you: it is committed to first, and stays reserved for you if it is refused.
    """
    chosen = {name: options.pop(name) for name in ("right", "grant", "parent_version", "message", "bounty")}
    hours, share_bps = options.pop("hours"), options.pop("share_bps")
    digest = read_digest(options.pop("tensors_digest"))
    provenance = read_provenance(**options)
    warn_unmeasurable(path, (metric.name for metric in provenance.metrics))
    with session.client(acting=True) as client, progress("uploading", quiet=session.json) as bar:
        note("asking for the right, then committing and waiting until the commitment is old enough ...")
        made = client.contributions.propose(
            asset,
            path,
            provenance=provenance,
            share_bps_min=share_bps,
            lifetime_ms=hours * HOUR_MS,
            tensors_digest=digest,
            progress=bar,
            **chosen,
        )
        emit(made, json=session.json, dates=True)


@contribution.command("download")
@click.argument("contribution_id")
@click.argument("destination", type=click.Path(path_type=Path))
@click.option("--overwrite", is_flag=True, help="Replace what is there.")
@with_session(nodes=True, account=True)
def download(session: Session, contribution_id: str, destination: Path, overwrite: bool) -> None:
    """Fetch what a contribution proposes to DESTINATION, to judge it: as an owner, the manager or an evaluator."""
    with session.client(acting=True) as client, progress("downloading", quiet=session.json) as bar:
        path = client.contributions.download(contribution_id, destination, progress=bar, overwrite=overwrite)
        emit({"path": str(path)}, json=session.json)


@contribution.command("comment")
@click.argument("contribution_id")
@click.argument("text", metavar="CID|FILE", callback=read_evidence)
@with_session(nodes=True, account=True)
def comment(session: Session, contribution_id: str, text: str) -> None:
    """Say something about an open contribution: as its contributor, owner or manager of the asset, or evaluator."""
    with session.client(acting=True) as client:
        emit(client.contributions.comment(contribution_id, text), json=session.json, dates=True)


@contribution.command("accept")
@click.argument("contribution_id")
@click.option(
    "--share-bps",
    type=BPS,
    help="The share that is given; what is asked for by default. No less, and none where none is asked for.",
)
@click.option("--giver", metavar="WHO", help="Whose share it is taken from; from all owners' by default.")
@consent_options
@with_session(nodes=True, account=True)
def accept(
    session: Session,
    contribution_id: str,
    share_bps: int | None,
    giver: str | None,
    prepare: bool,
    prepared: str | None,
) -> None:
    """Make a contribution the next version of the asset that you manage, for what it asks."""
    from ledger.modules.contributions.operations import Accept

    by = None if giver is None else session.resolve(giver)
    with session.client(acting=True) as client:
        if prepared is None:
            operation = client.contributions.acceptance(contribution_id, share_bps=share_bps, giver=by)
        else:
            operation = read_prepared(prepared, "an acceptance", Accept)
            if operation.contribution.hex() != contribution_id:
                raise click.UsageError("--prepared: this is not the acceptance of that contribution")
        if prepare:
            emit_prepared(operation, json=session.json)
            return
        emit(client.contributions.accept_for_all(operation), json=session.json, dates=True)


@contribution.command("refuse")
@click.argument("contribution_id")
@click.option("--reason", default="", help="What everybody reads; at most 1024 characters.")
@with_session(nodes=True, account=True)
def refuse(session: Session, contribution_id: str, reason: str) -> None:
    """End a contribution to an asset that you manage. Its artifact stays the contributor's."""
    with session.client(acting=True) as client:
        emit(client.contributions.refuse(contribution_id, reason), json=session.json)


@contribution.command("withdraw")
@click.argument("contribution_id")
@with_session(nodes=True, account=True)
def withdraw(session: Session, contribution_id: str) -> None:
    """Take your contribution back."""
    with session.client(acting=True) as client:
        emit(client.contributions.withdraw(contribution_id), json=session.json)


@contribution.command("show")
@click.argument("contribution_id")
@with_session(nodes=True)
def show(session: Session, contribution_id: str) -> None:
    """Show a contribution, and what was said about it."""
    with session.client() as client:
        emit(client.contributions.get(contribution_id), json=session.json, dates=True)


@contribution.command("list")
@click.argument("asset", required=False)
@click.option("--by", "contributor", help="Of a contributor: gm1... or a key's name; the acting account by default.")
@click.option("--accepted", is_flag=True, help="Those that became versions, instead of the open ones.")
@with_session(nodes=True, account=True)
def list_contributions(session: Session, asset: str | None, contributor: str | None, accepted: bool) -> None:
    """List contributions to ASSET, or of a contributor."""
    if asset is not None and contributor is not None:
        raise click.UsageError("name an asset, or a contributor with --by")
    with session.client() as client:
        by = None if asset is not None else session.resolve(contributor or _acting(session))
        state = "accepted" if accepted else "open"
        found = every(
            lambda after: client.contributions.find(asset=asset, contributor=by, state=state, after=after),
            "contribution",
        )
    columns = ("contribution", "asset", "from", "asks", "became", "until")
    emit_table(found, columns, json=session.json, shown=_contribution_row)


def _contribution_row(item: dict[str, Any]) -> dict[str, Any]:
    return item | {
        "from": item["parent_version"],
        "asks": _asks(item),
        "became": item["version"],
        "until": minute(item["expires_at_ms"]) if item["state"] == "open" else "",
    }


def _acting(session: Session) -> str:
    """Return the acting account's name. Raises a usage error that tells what else could be named."""
    try:
        return session.account_name()
    except WalletError as error:
        raise click.UsageError(f"name an asset, or a contributor with --by ({error.message})") from error


@click.group("bounty")
def bounty() -> None:
    """Put credits into escrow for who improves an asset."""


@bounty.command("open")
@click.argument("asset")
@click.argument("amount", type=UNITS)
@click.option("--description", metavar="CID|FILE", callback=read_evidence, help="What is wanted.")
@click.option("--hours", type=HOURS, default=672, show_default=True, help="How long it stays open.")
@click.option("--metric", metavar="NAME=NUMBER", help="Paid for a version that reaches it, by what evaluators state.")
@click.option("--on", "dataset", metavar="ASSET[:VERSION]", help="The data set that it is measured on.")
@click.option("--evaluators", type=Whole(1, 16), help="So many organizations; one by default.")
@with_session(nodes=True, account=True)
def open_bounty(
    session: Session,
    asset: str,
    amount: int,
    metric: str | None,
    dataset: str | None,
    evaluators: int | None,
    description: str | None,
    hours: int,
) -> None:
    """Put AMOUNT units into escrow for a contribution to ASSET.

    With --metric and --on accredited evaluators decide whom it is paid to, else you do.
    """
    condition = read_condition(metric, dataset, evaluators)
    with session.client(acting=True) as client:
        made = client.contributions.open_bounty(
            asset, amount, condition=condition, description=description, lifetime_ms=hours * HOUR_MS
        )
        emit(client.contributions.bounty(made), json=session.json, dates=True)


@bounty.command("claim")
@click.argument("bounty_id")
@click.argument("contribution_id")
@with_session(nodes=True, account=True)
def claim(session: Session, bounty_id: str, contribution_id: str) -> None:
    """Have a bounty paid for an accepted contribution that fulfils its condition. Anyone may ask for it."""
    with session.client(acting=True) as client:
        emit(client.contributions.claim_bounty(bounty_id, contribution_id), json=session.json, dates=True)


@bounty.command("award")
@click.argument("bounty_id")
@click.argument("contribution_id", required=False)
@with_session(nodes=True, account=True)
def award(session: Session, bounty_id: str, contribution_id: str | None) -> None:
    """Say which contribution your bounty is paid for once it is accepted; for none without CONTRIBUTION_ID."""
    with session.client(acting=True) as client:
        emit(client.contributions.award_bounty(bounty_id, contribution_id), json=session.json, dates=True)


@bounty.command("cancel")
@click.argument("bounty_id")
@with_session(nodes=True, account=True)
def cancel(session: Session, bounty_id: str) -> None:
    """Take back a bounty that no contribution names."""
    with session.client(acting=True) as client:
        emit(client.contributions.cancel_bounty(bounty_id), json=session.json)


@bounty.command("show")
@click.argument("bounty_id")
@with_session(nodes=True)
def show_bounty(session: Session, bounty_id: str) -> None:
    """Show a bounty."""
    with session.client() as client:
        emit(client.contributions.bounty(bounty_id), json=session.json, dates=True)


@bounty.command("list")
@click.argument("asset", required=False)
@click.option("--by", "opener", help="Of who opened it: gm1... or a key's name.")
@with_session(nodes=True, wallet=True)
def list_bounties(session: Session, asset: str | None, opener: str | None) -> None:
    """List bounties: all of them, those on ASSET, or of an opener."""
    if asset is not None and opener is not None:
        raise click.UsageError("name an asset, or an opener with --by")
    with session.client() as client:
        by = None if opener is None else session.resolve(opener)
        found = every(lambda after: client.contributions.bounties(asset=asset, opener=by, after=after), "bounty")
    columns = ("bounty", "asset", "amount", "named", "until")
    emit_table(found, columns, json=session.json, shown=lambda item: item | {"until": minute(item["closes_at_ms"])})


def read_condition(metric: str | None, dataset: str | None, evaluators: int | None) -> Condition | None:
    """Turn the options into a condition. Raises a usage error."""
    from guildmark.assets import asset_bytes
    from guildmark.contributions import Condition
    from ledger.modules.attestations.operations import METRICS

    if metric is None and dataset is None:
        if evaluators is not None:
            raise click.UsageError("--evaluators is part of a condition, which takes --metric and --on too")
        return None
    if metric is None or dataset is None:
        raise click.UsageError("a condition takes --metric and --on")
    ((name, number),) = pairs((metric,), "--metric").items()
    if name not in METRICS:
        raise click.UsageError(f"--metric: one of {', '.join(METRICS)}, not {name!r}")
    bound_ppm = millionths("--metric", number)
    if not 0 <= bound_ppm <= 1_000_000:
        raise click.UsageError(f"--metric {name}: from 0 to 1, not {number}")
    identifier, version = read_version("--on", dataset, default=1)
    return Condition(name, bound_ppm, asset_bytes(identifier), version, evaluators or 1)


def _asks(item: dict[str, Any]) -> str:
    asked = [f"{item['share_bps_min']} bps"] if item["share_bps_min"] else []
    asked += ["a bounty"] if item["bounty"] else []
    return " and ".join(asked) or "credit"
