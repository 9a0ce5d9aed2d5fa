"""/v1/search: assets by text, holder, kind, tag, lineage and price, a page at a time."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from ledger.modules.assets.records import KINDS
from ledger.search import request as searches
from ledger.search.reader import SearchAnswer
from ledger.search.sources import RIGHTS, SELLS
from node.http.application import Api, json_response
from node.http.blocks import AT_LEAST, AT_LEAST_WAIT_S, behind, wait_for_height
from node.http.parameters import Word
from node.http.routing import Request, Route

_ACCOUNT: Final = "gm1[a-z0-9]+"
_ID: Final = "[0-9a-f]{64}"
_LIST: Final = "[^,]+(,[^,]+)*"
_AMOUNT: Final = "[0-9]{1,19}"

PARAMETERS: Final = (
    Word("text", "Words that all stand in name, tags, metadata or description; `wor*` is the beginning of one"),
    Word("owner", "An account that holds a share", pattern=_ACCOUNT),
    Word("creator", "An account named as creator", pattern=_ACCOUNT),
    Word("contributor", "An account that made a version of somebody else's asset", pattern=_ACCOUNT),
    Word("kind", "The kind of asset", choices=KINDS),
    Word("tag", "One tag, or several with commas between, all of which it has", pattern=_LIST),
    Word("organization", "The organization that registered it"),
    Word("parent", "An asset that it derives from directly", pattern=_ID),
    Word("ancestor", "An asset that it derives from through any number of generations", pattern=_ID),
    Word("available", "Whether a quorum of validators holds its latest version", choices=searches.CHOICE),
    Word("retired", "Whether it is retired; `false` when not given", choices=searches.CHOICE),
    Word("reproduced", "So many organizations at least reproduce each claim of its latest version", pattern=_AMOUNT),
    Word("reputation_min", "The least mean score of its creators, in millionths", pattern=_AMOUNT),
    Word("contradicted", "Whether an organization contradicts one of them", choices=searches.CHOICE),
    Word("offered", "Whether an open offer fits the rest; `true` once one of these is given", choices=searches.CHOICE),
    Word("sells", "What the offer sells: a new license, the asset, a share, or a license passed on", choices=SELLS),
    Word("right", f"A right that the offer gives, or several with commas between: {', '.join(RIGHTS)}", pattern=_LIST),
    Word("commercial", "Whether the offer allows commercial use", choices=searches.CHOICE),
    Word("exclusivity", "The offer's exclusivity", choices=searches.EXCLUSIVITIES),
    Word("spdx", "The SPDX id of the offer's terms"),
    Word("price_min", "The least price of the offer, at the answer's block time", pattern=_AMOUNT),
    Word("price_max", "The highest price of the offer, at the answer's block time", pattern=_AMOUNT),
    Word("buyer", "An account whose private offers count as well", pattern=_ACCOUNT),
    Word("sort", "The order: `relevance` with a text, else `newest`, when not given", choices=searches.SORTS),
    Word("limit", f"Assets on a page, at most {searches.PAGE_MAX}", pattern="[0-9]{1,3}"),
    Word("cursor", "The `cursor` of the page before, with all other parameters as they were"),
)
"""What `ledger.search.request` reads; it judges the values."""


async def assets(api: Api, request: Request) -> web.StreamResponse:
    """Search at the height that the search has followed the chain to, or at one of at least `at_least`."""
    height = AT_LEAST.read(request.query)
    search = searches.read({name: text for name, text in request.query.items() if name != AT_LEAST.name})
    await wait_for_height(api, height, AT_LEAST_WAIT_S)
    if api.services.height() < height:
        raise behind(api.services.height(), height)
    answer = await api.services.search(search)
    if answer.height < height:
        raise behind(answer.height, height)
    return json_response(answer)


ROUTES: Final = (
    Route(
        "GET",
        "/v1/search/assets",
        assets,
        "Search assets by text, holder, kind, tag, lineage, license and price",
        query=(AT_LEAST, *PARAMETERS),
        answer=SearchAnswer,
    ),
)
