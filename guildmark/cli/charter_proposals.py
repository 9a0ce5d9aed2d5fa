"""How commands print what the owners of an asset have proposed."""

from __future__ import annotations

from typing import Any, Final

from guildmark.cli.output import emit

_IN_WORDS: Final = ("quorum_bps", "threshold_bps", "of_all_bps", "power_bps", "approving_bps", "refusing_bps", "voters")

_SAID: Final = {None: "has not voted", True: "approves", False: "refuses"}


def show_proposal(proposal: dict[str, Any], *, json: bool) -> None:
    """Print a proposal. People get what its kind of action has, the majority that it takes in words, the largest share
    first, and times as dates."""
    if json:
        emit(proposal, json=True)
        return
    shown = {name: value for name, value in proposal.items() if name not in _IN_WORDS}
    shown = {name: value for name, value in shown.items() if value not in (None, "")}
    shown["action"] = {name: value for name, value in proposal["action"].items() if value is not None}
    shown |= {"takes": _takes(proposal), "tally": _tally(proposal)}
    voters = sorted(proposal["voters"], key=lambda voter: (-voter["bps"], voter["account"]))
    shown["voters"] = [f"{voter['account']} {voter['bps']}: {_SAID[voter['approve']]}" for voter in voters]
    emit(shown, json=False, dates=True)


def _takes(proposal: dict[str, Any]) -> str:
    text = f"{proposal['quorum_bps']} bps of the power vote, {proposal['threshold_bps']} bps of these approve"
    return f"{text}, and {proposal['of_all_bps']} bps of all" if proposal["of_all_bps"] else text


def _tally(proposal: dict[str, Any]) -> str:
    power = proposal["power_bps"]
    return f"{proposal['approving_bps']} approve and {proposal['refusing_bps']} refuse, of a power of {power}"
