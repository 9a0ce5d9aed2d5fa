"""`guildmark model` and `guildmark asset`: registering, showing, downloading and managing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import rich_click as click

from guildmark.cli.alias import read_alias
from guildmark.cli.asset_search import add_search
from guildmark.cli.consents import PREPARE, emit_prepared
from guildmark.cli.model_evaluation import evaluate, warn_unmeasurable
from guildmark.cli.numbers import PRICE, VERSION, bps
from guildmark.cli.output import emit, emit_table, note, progress
from guildmark.cli.pages import every
from guildmark.cli.provenance import TENSORS_DIGEST, provenance_options, read_digest, read_provenance
from guildmark.cli.session import Session, pairs, with_session
from guildmark.cli.things import split_version

ASSET_VERSION = click.argument("asset", metavar="ASSET[:VERSION]")
"""VERSION is a number or an alias; read it with `split_version`."""
KINDS = ("model", "dataset", "algorithm", "software", "artwork", "object3d")


def ownership_options(function: Any) -> Any:
    """The options that say who made it, who acts for it, and what is due when it changes hands."""
    for option in reversed(
        [
            click.option(
                "--creator",
                "creators",
                multiple=True,
                metavar="WHO=BPS",
                help="Who made it (gm1... or a key's name), and what part of the resale royalty is due for that: 10000 "
                "together, you alone by default. Never changes.",
            ),
            click.option("--manager", metavar="WHO", help="Makes offers, versions and aliases; you by default."),
            click.option(
                "--resale-royalty-bps", type=bps(0, 1_500), default=0, show_default=True, help="Due to the creators."
            ),
            click.option(
                "--least-royalty", type=PRICE, default=0, show_default=True, help="Units at least, on gifts too."
            ),
            click.option("--no-gifts", is_flag=True, help="It and its shares are never given away."),
            click.option(
                "--charter",
                type=click.Path(path_type=Path, exists=True, dir_okay=False),
                metavar="FILE.toml",
                help="How its owners decide together: see docs/spec/charters.md.",
            ),
        ]
    ):
        function = option(function)
    return function


def read_creators(session: Session, creators: tuple[str, ...]) -> list[tuple[str, int]]:
    """Return (account, bps). Raises a usage error."""
    found = []
    for who, part in pairs(creators, "--creator").items():
        found.append((session.resolve(who), bps(1, 10_000).read(f"--creator {who}", part)))
    return found


def _group(name: str, kind: str | None) -> click.Group:
    """Make the group for one kind, or for all of them."""
    what = kind or "asset"
    group = click.RichGroup(name=name, help=f"Register, find, download and manage {what}s.")
    kind_option = click.option(
        "--kind", type=click.Choice(KINDS), default=kind, required=kind is None, show_default=kind is not None
    )

    @group.command("register")
    @click.argument("path", type=click.Path(path_type=Path, exists=True))
    @kind_option
    @click.option("--name", required=True)
    @click.option("--description", default="")
    @click.option("--tag", "tags", multiple=True)
    @click.option("--metadata", multiple=True, metavar="NAME=VALUE", help="No personal data: it stays for ever.")
    @click.option("--public", is_flag=True, help="Anyone may download it.")
    @ownership_options
    @TENSORS_DIGEST
    @provenance_options
    @click.option("--wait-held", is_flag=True, help="Wait until a quorum of validators holds the bytes.")
    @with_session(nodes=True, account=True)
    def register(session: Session, path: Path, **options: Any) -> None:
        """Register the file or directory PATH and upload it: commitment, reveal, then the bytes."""
        _register(session, path, options)

    @group.command("add-version")
    @click.argument("asset")
    @click.argument("path", type=click.Path(path_type=Path, exists=True))
    @click.option("--notes", default="")
    @TENSORS_DIGEST
    @provenance_options
    @click.option("--wait-held", is_flag=True, help="Wait until a quorum of validators holds the bytes.")
    @with_session(nodes=True, account=True)
    def add_version(session: Session, asset: str, path: Path, **options: Any) -> None:
        """Register PATH as the next version of ASSET and upload it."""
        wait_held, notes = options.pop("wait_held"), options.pop("notes")
        digest = read_digest(options.pop("tensors_digest"))
        provenance = read_provenance(**options)
        warn_unmeasurable(path, (metric.name for metric in provenance.metrics))
        with session.client(acting=True) as client, progress("uploading", quiet=session.json) as bar:
            made = client.assets.add_version(
                asset, path, provenance=provenance, notes=notes, tensors_digest=digest, progress=bar
            )
            if wait_held:
                client.artifacts.wait_held(made.cid)
            emit(made, json=session.json)

    @group.command("list")
    @click.option("--kind", type=click.Choice(KINDS), default=kind)
    @click.option("--owner", help="gm1... or a key's name.")
    @with_session(nodes=True, wallet=True)
    def list_assets(session: Session, kind: str | None, owner: str | None) -> None:
        """List what is registered."""
        with session.client() as client:
            holder = session.resolve(owner) if owner else None
            rows = every(lambda after: client.assets.find(owner=holder, kind=kind, after=after), "asset")
        emit_table(rows, ("asset", "kind", "name", "versions"), json=session.json)

    add_search(group, KINDS, kind)
    for command in (show, versions, upload, download, describe, alias, manager, consent, retire):
        group.add_command(command)
    if kind == "model":
        group.add_command(evaluate)
    return group


def _register(session: Session, path: Path, options: dict[str, Any]) -> None:
    from guildmark.charters import read_charter
    from ledger.modules.assets.operations import TransferTerms

    names = (
        *("parents", "hyperparameters", "preprocessing"),
        *("metrics", "measured_on", "tolerance", "code_version"),
    )
    provenance = read_provenance(**{name: options[name] for name in names})
    creators, manager = read_creators(session, options["creators"]), options["manager"]
    if options["kind"] == "model":
        warn_unmeasurable(path, (metric.name for metric in provenance.metrics))
    with session.client(acting=True) as client, progress("uploading", quiet=session.json) as bar:
        note("committing, then waiting until the commitment is old enough ...")
        made = client.assets.register(
            path,
            kind=options["kind"],
            name=options["name"],
            description=options["description"],
            tags=options["tags"],
            metadata=pairs(options["metadata"], "--metadata"),
            visibility="public" if options["public"] else "licensed",
            provenance=provenance,
            creators=creators,
            manager=None if manager is None else session.resolve(manager),
            transfer_terms=TransferTerms(
                options["resale_royalty_bps"], options["least_royalty"], gifts=not options["no_gifts"]
            ),
            charter=None if options["charter"] is None else read_charter(options["charter"]),
            tensors_digest=read_digest(options["tensors_digest"]),
            progress=bar,
        )
        if options["wait_held"]:
            client.artifacts.wait_held(made.cid)
        emit(made, json=session.json)


@click.command("show")
@ASSET_VERSION
@with_session(nodes=True)
def show(session: Session, asset: str) -> None:
    """Show an asset: owners, links, and its latest version or the one that VERSION, a number or an alias, names."""
    asset, version = split_version(asset)
    with session.client() as client:
        found = client.assets.get(asset)
        if version is not None:
            del found["latest"]
            found["version"] = client.assets.version(asset, version)
    emit(found, json=session.json)


@click.command("versions")
@ASSET_VERSION
@with_session(nodes=True)
def versions(session: Session, asset: str) -> None:
    """List an asset's versions, or only the one that VERSION, a number or an alias, names."""
    asset, version = split_version(asset)
    with session.client() as client:
        if version is None:
            rows = every(lambda after: client.assets.versions(asset, after=after), "version")
        else:
            rows = [client.assets.version(asset, version)]
    emit_table(rows, ("version", "cid", "size_bytes", "available", "reproduced", "contradicted"), json=session.json)


@click.command("upload")
@click.argument("path", type=click.Path(path_type=Path, exists=True))
@click.option("--wait-held", is_flag=True, help="Wait until a quorum of validators holds the bytes.")
@with_session(nodes=True, account=True)
def upload(session: Session, path: Path, wait_held: bool) -> None:
    """Go on with the upload of PATH, a registered version's bytes, that was interrupted."""
    from guildmark.artifact_transfer import LocalArtifact

    with (
        LocalArtifact(path) as artifact,
        session.client(acting=True) as client,
        progress("uploading", quiet=session.json) as bar,
    ):
        claim = client.query("assets.by_artifact", cid=artifact.cid)
        client.artifacts.upload(artifact, bar)
        if wait_held:
            client.artifacts.wait_held(artifact.cid)
    emit({"asset": claim["asset"], "version": claim["version"], "cid": artifact.cid}, json=session.json)


@click.command("download")
@ASSET_VERSION
@click.argument("destination", type=click.Path(path_type=Path))
@click.option("--version", help="A number or an alias; the latest by default.")
@click.option("--overwrite", is_flag=True)
@click.option("--anonymous", is_flag=True, help="Do not sign the request: for public assets.")
@with_session(nodes=True, account=True)
def download(
    session: Session, asset: str, destination: Path, version: str | None, overwrite: bool, anonymous: bool
) -> None:
    """Download a version to DESTINATION, every block checked; one that was interrupted goes on where it was.

    VERSION is a number or an alias, as with --version.
    """
    asset, named = split_version(asset)
    if named is not None and version is not None:
        raise click.UsageError("name the version once: ASSET:VERSION, or --version")
    with session.client(acting=not anonymous) as client, progress("downloading", quiet=session.json) as bar:
        path = client.assets.download(asset, destination, version=named or version, overwrite=overwrite, progress=bar)
    emit({"asset": asset, "path": str(path)}, json=session.json)


@click.command("describe")
@click.argument("asset")
@click.option("--name")
@click.option("--description")
@click.option("--tag", "tags", multiple=True, help="Replaces all tags; may be repeated.")
@click.option("--metadata", multiple=True, metavar="NAME=VALUE", help="Replaces all metadata; may be repeated.")
@with_session(nodes=True, account=True)
def describe(
    session: Session,
    asset: str,
    name: str | None,
    description: str | None,
    tags: tuple[str, ...],
    metadata: tuple[str, ...],
) -> None:
    """Describe ASSET anew; what is not given stays."""
    with session.client(acting=True) as client:
        outcome = client.assets.update_metadata(
            asset,
            name=name,
            description=description,
            tags=tags or None,
            metadata=dict(pairs(metadata, "--metadata")) if metadata else None,
        )
    emit(outcome, json=session.json)


@click.command("alias")
@click.argument("asset")
@click.argument("alias", callback=read_alias)
@click.option("--version", type=VERSION, help="The version it names; without one the alias is removed.")
@with_session(nodes=True, account=True)
def alias(session: Session, asset: str, alias: str, version: int | None) -> None:
    """Let ALIAS, such as `production`, name a version of ASSET. `latest` follows by itself."""
    with session.client(acting=True) as client:
        emit(client.assets.set_alias(asset, alias, version), json=session.json)


@click.command("manager")
@click.argument("asset")
@click.argument("who")
@PREPARE
@with_session(nodes=True, account=True)
def manager(session: Session, asset: str, who: str, prepare: bool) -> None:
    """Let WHO (gm1... or a key's name) make offers, versions and aliases of ASSET.

    By owners of more than half: where several have it, they consent first to what --prepare shows.
    """
    from guildmark.accounts import account_bytes
    from guildmark.assets import asset_bytes
    from ledger.modules.assets.operations import SetManager

    account = session.resolve(who)
    if prepare:
        emit_prepared(SetManager(asset_bytes(asset), account_bytes(account)), json=session.json)
        return
    with session.client(acting=True) as client:
        emit(client.assets.set_manager(asset, account), json=session.json)


@click.command("consent")
@click.argument("asset")
@click.argument("operation")
@click.option("--withdraw", is_flag=True, help="Take the consent back.")
@with_session(nodes=True, account=True)
def consent(session: Session, asset: str, operation: str, withdraw: bool) -> None:
    """Consent, as one of several owners of ASSET, to OPERATION, which another owner has prepared (`--prepare`)."""
    from guildmark.transfers import read_operation, show_operation

    wanted = read_operation(operation)
    note(f"{'taking back the consent' if withdraw else 'consenting'} to {show_operation(wanted)}")
    with session.client(acting=True) as client:
        if withdraw:
            emit(client.assets.withdraw_consent(asset, wanted), json=session.json)
        else:
            emit(client.assets.consent(asset, wanted), json=session.json)


@click.command("retire")
@click.argument("asset")
@PREPARE
@with_session(nodes=True, account=True)
def retire(session: Session, asset: str, prepare: bool) -> None:
    """End an asset's further use in trade.

    By its owner: where there are several, the others consent first to what --prepare shows.
    """
    from guildmark.assets import asset_bytes
    from ledger.modules.assets.operations import Retire

    if prepare:
        emit_prepared(Retire(asset_bytes(asset)), json=session.json)
        return
    with session.client(acting=True) as client:
        emit(client.assets.retire(asset), json=session.json)


model = _group("model", "model")
asset = _group("asset", None)
