"""What an asset says of itself for people: name, tags, metadata."""

from __future__ import annotations

from ledger.errors import OperationError


def check_labels(name: str, tags: tuple[str, ...], metadata: tuple[tuple[str, str], ...]) -> None:
    """Refuse an empty name and repetitions.

    Raises:
        OperationError: `assets.name` or `assets.repeated_label`.
    """
    if not name.strip():
        raise OperationError("assets.name", "an asset has a name")
    if len(set(tags)) != len(tags):
        raise OperationError("assets.repeated_label", "a tag is repeated")
    if len({key for key, _ in metadata}) != len(metadata):
        raise OperationError("assets.repeated_label", "a key of the metadata is repeated")
