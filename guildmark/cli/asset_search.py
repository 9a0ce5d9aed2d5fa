"""`guildmark asset search` and `guildmark asset lineage`: finding assets, and what they come from and led to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import rich_click as click

from guildmark.cli.numbers import PPM, PRICE, Whole
from guildmark.cli.output import emit, emit_table, encode, note
from guildmark.cli.session import Session, with_session

EXCLUSIVITIES = ("none", "sole", "exclusive")
SORTS = ("relevance", "newest", "name", "price", "reputation")
SELLS = ("license", "asset", "share", "grant")
DIRECTIONS = ("up", "down", "both")


def add_search(group: click.Group, kinds: Sequence[str], kind: str | None) -> None:
    """Add both commands to the group of one kind, or of all."""

    @group.command("search")
    @click.argument("text", default="")
    @click.option("--kind", type=click.Choice(kinds), default=kind)
    @click.option("--owner", help="gm1... or a key's name.")
    @click.option("--creator", help="gm1... or a key's name.")
    @click.option("--contributor", help="Who made a version of somebody else's: gm1... or a key's name.")
    @click.option("--tag", "tags", multiple=True, help="May be repeated: all of them.")
    @click.option("--organization", help="That registered it.")
    @click.option("--parent", metavar="ASSET", help="That it derives from directly.")
    @click.option("--ancestor", metavar="ASSET", help="That it derives from in any number of generations.")
    @click.option("--available/--not-available", default=None, help="Whether a quorum of validators holds it.")
    @click.option("--retired", is_flag=True, help="Retired ones only.")
    @click.option("--reproduced", type=Whole(0), help="So many organizations at least reproduce its claims.")
    @click.option(
        "--contradicted/--not-contradicted", default=None, help="Whether an organization contradicts a claim."
    )
    @click.option("--offered/--not-offered", default=None, help="Whether something of it can be bought.")
    @click.option("--sells", type=click.Choice(SELLS), help="What can be bought; a grant is a license passed on.")
    @click.option("--right", "rights", multiple=True, help="That one offer gives; may be repeated: all of them.")
    @click.option("--commercial/--non-commercial", default=None, help="What the offer allows.")
    @click.option("--exclusivity", type=click.Choice(EXCLUSIVITIES))
    @click.option("--spdx", help="SPDX id of the offer's terms.")
    @click.option("--price-min", type=PRICE, help="At the answer's block time.")
    @click.option("--price-max", type=PRICE, help="At the answer's block time.")
    @click.option("--min-reputation", "reputation_min", type=PPM, help="Of its creators, in millionths.")
    @click.option("--buyer", help="gm1... or a key's name: offers to it alone count as well.")
    @click.option("--sort", type=click.Choice(SORTS), help="Default: relevance with TEXT, else newest.")
    @click.option("--limit", type=Whole(1, 200), default=50, show_default=True)
    @click.option("--cursor", help="From the page before, with everything else as it was.")
    @click.option("--at-least", type=Whole(0), help="Wait until the node has this height.")
    @with_session(nodes=True, wallet=True)
    def search(session: Session, text: str, **options: Any) -> None:
        """Find assets in which all words of TEXT stand; `wor*` is the beginning of a word."""
        for name in ("owner", "creator", "contributor", "buyer"):
            if options[name]:
                options[name] = session.resolve(options[name])
        with session.client() as client:
            page = client.assets.search(text, **options)
        if session.json:
            click.echo(encode(page))
            return
        columns = ["asset", "kind", "name", "organization", "reproduced", "contradicted"]
        columns += ["price", "sells", "format", "offer"]
        if options["sort"] == "reputation" or options["reputation_min"] is not None:
            columns[6:6] = ["reputation_ppm", "confidence_ppm"]
        emit_table(page["items"], columns, json=False)
        if page["cursor"]:
            note(f"there are more: --cursor {page['cursor']}")

    group.add_command(lineage)


@click.command("lineage")
@click.argument("asset")
@click.option("--direction", type=click.Choice(DIRECTIONS), default="both", show_default=True)
@click.option("--depth", type=Whole(1, 8), default=8, show_default=True, help="Generations.")
@with_session(nodes=True)
def lineage(session: Session, asset: str, direction: str, depth: int) -> None:
    """Draw what ASSET derives from, and what derives from it."""
    with session.client() as client:
        graph = client.assets.lineage(asset, direction=direction, depth=depth)
    emit(graph, json=session.json, text="\n".join(draw(graph)))
    if graph["truncated"] and not session.json:
        note(f"there are more: the nearest {len(graph['nodes'])} are drawn")


def draw(graph: Mapping[str, Any]) -> Iterator[str]:
    """The lines of a lineage: a tree of ancestors, then one of descendants. What was drawn before is not drawn again
    with all that belongs to it."""
    nodes = {node["asset"]: node for node in graph["nodes"]}
    up: dict[str, list[tuple[str, Mapping[str, Any]]]] = {}
    down: dict[str, list[tuple[str, Mapping[str, Any]]]] = {}
    for edge in graph["edges"]:
        if nodes[edge["child"]]["distance"] <= 0 and nodes[edge["parent"]]["distance"] < 0:
            up.setdefault(edge["child"], []).append((edge["parent"], edge))
        if nodes[edge["parent"]]["distance"] >= 0 and nodes[edge["child"]]["distance"] > 0:
            down.setdefault(edge["parent"], []).append((edge["child"], edge))
    asset = graph["asset"]
    yield _label(nodes[asset])
    for title, relatives in (("derives from", up), ("led to", down)):
        if asset in relatives:
            yield f"{title}:"
            yield from _branches(nodes, relatives, asset, "", set())


def _branches(
    nodes: Mapping[str, Any],
    relatives: Mapping[str, list[tuple[str, Mapping[str, Any]]]],
    asset: str,
    indent: str,
    drawn: set[str],
) -> Iterator[str]:
    branches = sorted(
        relatives.get(asset, []),
        key=lambda branch: (-branch[1]["rate_bps"], nodes[branch[0]]["name"], branch[0]),
    )
    for number, (relative, edge) in enumerate(branches, 1):
        last = number == len(branches)
        again = relative in drawn
        drawn.add(relative)
        rate = f", {edge['rate_bps'] / 100:g} %" if edge["rate_bps"] else ""
        more = ", see above" if again and relative in relatives else ""
        yield f"{indent}{'└── ' if last else '├── '}{_label(nodes[relative])}  ({edge['right']}{rate}{more})"
        if not again:
            yield from _branches(nodes, relatives, relative, indent + ("    " if last else "│   "), drawn)


def _label(node: Mapping[str, Any]) -> str:
    retired = ", retired" if node["retired"] else ""
    return f"{node['name']}  {node['kind']}{retired}  {node['asset']}"
