"""The tables of docs/spec/odrl.md: `python -m guildmark.odrl.page` prints them, and a test compares."""

from __future__ import annotations

from guildmark.odrl.vocabulary import PLACES, RIGHT_ACTIONS, short

_WHERE = {
    "action": "action of a permission",
    "duty": "duty of a permission",
    "constraint": "constraint of a permission",
    "prohibition": "prohibition",
    "property": "property of the policy",
}


def rights_table() -> str:
    """Return the table of rights and the actions that give them."""
    rows = [
        f"| `{right}` | {', '.join(f'`{short(a)}`' for a in actions)} |" for right, actions in RIGHT_ACTIONS.items()
    ]
    return "\n".join(["| right | actions |", "|---|---|", *rows])


def fields_table() -> str:
    """Return the table of the fields of terms and their places."""
    rows = [
        f"| `{field}` | {_WHERE[place.where]} | `{short(place.name)}` | {place.says} |"
        for field, place in PLACES.items()
    ]
    return "\n".join(["| field | place | word | how |", "|---|---|---|---|", *rows])


if __name__ == "__main__":
    print(rights_table(), fields_table(), sep="\n\n")  # noqa: T201 - this is what it is for
