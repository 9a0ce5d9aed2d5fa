"""Makes docs/spec/vectors/state.json: `python -m tests.property.state_vectors`. The same bytes at every run."""

from __future__ import annotations

import hashlib
import json
import random
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgpack

from ledger.state.batch_proofs import prove_batch
from ledger.state.proofs import prove
from ledger.state.tree import StateTree
from tests.reference.state_tree import leaf_of

FILE = Path(__file__).resolve().parents[2] / "docs" / "spec" / "vectors" / "state.json"
SEARCHED = 20_000
"""Keys `deep/0` and following, among which those are sought whose paths agree furthest."""

Records = dict[bytes, bytes]


def shared_nibbles(one: bytes, other: bytes) -> int:
    """Return in how many of their first nibbles the paths of two keys agree."""
    pairs = zip(hashlib.sha256(one).hexdigest(), hashlib.sha256(other).hexdigest(), strict=True)
    return next(at for at, (a, b) in enumerate(pairs) if a != b)


def deep_pair() -> tuple[bytes, bytes]:
    keys = sorted((b"deep/%d" % number for number in range(SEARCHED)), key=lambda key: hashlib.sha256(key).digest())
    return max(pairwise(keys), key=lambda pair: shared_nibbles(*pair))


def near(key: bytes, nibbles: int) -> bytes:
    """Return a key whose path agrees with that of `key` in exactly so many nibbles."""
    return next(found for number in range(10**7) if shared_nibbles(found := b"near/%d" % number, key) == nibbles)


def states() -> dict[str, Records]:
    one, other = deep_pair()
    third = near(one, 3)
    rng = random.Random(1)
    hundred = {b"asset/%d" % number: rng.randbytes(rng.randint(0, 60)) for number in range(100)}
    return {
        "empty": {},
        "one record": {b"asset/1": b"first"},
        "one record with an empty value": {b"asset/1": b""},
        "two records": {b"asset/1": b"first", b"asset/2": b"second"},
        "two records that share a long way": {one: b"one", other: b"other"},
        "the same and a third beside their way": {one: b"one", other: b"other", third: b"third"},
        "one of the two moved up beside the third": {one: b"one", third: b"third"},
        "one of the two moved up to the top": {one: b"one"},
        "a long key and a long value": {bytes(range(256)) * 4: bytes(4096), b"": b"the empty key"},
        "a hundred records": hundred,
        "fifty of the hundred": {key: value for at, (key, value) in enumerate(hundred.items()) if at % 2},
    }


DELETIONS = (
    ("the last record goes", "one record", "empty"),
    ("one of two goes", "two records", "one record"),
    (
        "a leaf moves up several levels",
        "the same and a third beside their way",
        "one of the two moved up beside the third",
    ),
    ("a leaf moves up to the top", "two records that share a long way", "one of the two moved up to the top"),
    ("many go at once", "a hundred records", "fifty of the hundred"),
)


def asked(records: Records) -> list[bytes]:
    """Return keys to prove: present ones, an absent one with an empty place, and one beside another leaf."""
    present = list(records)[:4]
    beside = [near(key, 2) for key in present[:2]]
    absent = (key for key in (*beside, b"never/0", b"never/1") if key not in records)
    return list(dict.fromkeys([*present, *absent]))


def described(name: str, records: Records) -> dict[str, Any]:
    tree = StateTree.build(records.items())
    keys = asked(records)
    batches = [keys[:1], keys, keys[-2:], *([list(records)] if records else [])]
    return {
        "name": name,
        "records": [[key.hex(), value.hex()] for key, value in records.items()],
        "root": tree.root.hex(),
        "proofs": [
            {"key": key.hex(), "value": text(records.get(key)), "proof": prove(tree, key).encode().hex()}
            for key in keys
        ],
        "batches": [
            {
                "records": [[key.hex(), text(records.get(key))] for key in batch],
                "proof": prove_batch(batch, tree.path).encode().hex(),
            }
            for batch in batches
        ],
    }


def text(value: bytes | None) -> str | None:
    return None if value is None else value.hex()


def refused(name: str, records: Records, rng: random.Random) -> list[dict[str, Any]]:
    """Return what must not hold: each honest proof for other values, and changed in every way."""
    tree = StateTree.build(records.items())
    found: list[dict[str, Any]] = []

    def add(kind: str, why: str, claims: dict[bytes, bytes | None], data: bytes) -> None:
        claimed = [[key.hex(), text(value)] for key, value in claims.items()]
        found.append({"why": f"{name}: {why}", "root": tree.root.hex(), "records": claimed, kind: data.hex()})

    keys = asked(records)
    for key in keys:
        value, proof = records.get(key), prove(tree, key).encode()
        opposite = b"forged" if value is None else None
        add("proof", "the opposite", {key: opposite}, proof)
        if value is not None:
            version, branches, _ = msgpack.unpackb(proof)
            forged = msgpack.packb([version, branches, leaf_of(key, value)], use_bin_type=True)
            add("proof", "absence beside the record's own leaf", {key: None}, forged)
        for why, data in mutations(proof, rng):
            add("proof", why, {key: value}, data)
    claims = {key: records.get(key) for key in keys}
    batch = prove_batch(keys, tree.path).encode()
    for key in keys:
        add("batch", "the opposite for one", claims | {key: b"forged" if claims[key] is None else None}, batch)
    for key in (key for key in keys if records.get(key) is not None):
        alone = prove_batch([key], tree.path).encode()
        version, nodes = msgpack.unpackb(alone)
        forged = msgpack.packb([version, [*nodes[:-1], leaf_of(key, records[key])]], use_bin_type=True)
        add("batch", "absence beside the record's own leaf", {key: None}, forged)
        add("batch", "a leaf that the verifier makes", {key: records[key]}, forged)
    if prove_batch(keys[1:], tree.path).encode() != batch:  # else the same nodes say it
        add("batch", "a key less", dict(list(claims.items())[1:]), batch)
    for why, data in mutations(batch, rng):
        add("batch", why, claims, data)
    return found


def mutations(proof: bytes, rng: random.Random) -> list[tuple[str, bytes]]:
    """Return changed forms of a proof; none is the proof itself."""
    version, *parts = msgpack.unpackb(proof)
    changed = [
        ("a later version", [version + 1, *parts]),
        ("an item too many", [version, *parts, b""]),
        ("an item too few", [version, *parts[:-1]]),
    ]
    nodes = parts[0]
    for at, node in enumerate(nodes):
        if isinstance(node, list):
            bitmap, siblings = node
            others = [
                ("no children", [0, siblings]),
                ("a hash too many", [bitmap, siblings + bytes(32)]),
                ("a byte too few", [bitmap, siblings[:-1]] if siblings else [bitmap, b"\x00"]),
                ("another bitmap", [bitmap ^ 1 << rng.randrange(16) or 1, siblings]),
            ]
            changed += [(why, [version, [*nodes[:at], other, *nodes[at + 1 :]], *parts[1:]]) for why, other in others]
    if nodes:
        changed.append(("the first node twice", [version, [*nodes[:1], *nodes], *parts[1:]]))
    else:
        changed.append(("a branch", [version, [[1, b""]], *parts[1:]]))
    found = [(why, msgpack.packb(value, use_bin_type=True)) for why, value in changed]
    for _ in range(6):
        at = rng.randrange(len(proof))
        found.append((f"byte {at} flipped", proof[:at] + bytes([proof[at] ^ 1 << rng.randrange(8)]) + proof[at + 1 :]))
        found.append((f"byte {at} missing", proof[:at] + proof[at + 1 :]))
    found.append(("a byte behind the end", proof + b"\x00"))
    found.append(("a longer form of the version", proof[:1] + b"\xcc" + proof[1:]))
    return [(why, data) for why, data in found if data != proof]


def vectors() -> dict[str, Any]:
    made = states()
    rng = random.Random(2)
    few = ["empty", "one record", "two records", "the same and a third beside their way"]
    return {
        "states": [described(name, records) for name, records in made.items()],
        "deletions": [
            {
                "name": name,
                "from": before,
                "to": after,
                "keys": [key.hex() for key in made[before] if key not in made[after]],
            }
            for name, before, after in DELETIONS
        ],
        "refused": [row for name in few for row in refused(name, made[name], rng)],
    }


if __name__ == "__main__":
    FILE.write_text(json.dumps(vectors(), indent=1) + "\n")
