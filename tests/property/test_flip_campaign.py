"""A short flip campaign over every kind of file; `make flip-campaign` runs the long one."""

from __future__ import annotations

from pathlib import Path
from random import Random

import msgspec
import pytest

from ledger.state.store import LevelStore
from primitives.codec import encode
from tests.property.flip_campaign import KINDS, Victim, Wrong, answers_of, campaign, files_of, table
from tests.property.flip_stage import make_stage


def test_no_flipped_byte_gives_a_wrong_answer_or_vote() -> None:
    """D1: tables, log, manifest, CURRENT, vote log, chunks, snapshots, search, settings, genesis, keys."""
    found = campaign(10 * len(KINDS), seed=Random().randrange(2**32))
    assert all(sum(each.values()) == 10 for each in found.values())
    assert not [kind for kind, each in found.items() if each["wrong"]], table(found)


def test_a_wrong_answer_would_be_seen(tmp_path: Path) -> None:
    """The judge is judged: a record that is changed with its checksum, where nothing else holds it."""
    stage = make_stage(tmp_path / "node")
    stage.answers = answers_of(stage.chain, stage)
    assert all(files_of(stage, kind) for kind in KINDS)
    assert Victim(tmp_path / "node", stage).run() == "harmless"
    store = LevelStore(tmp_path / "node" / "chain")
    certificate = stage.chain.certificate(3)
    assert certificate is not None
    other = msgspec.structs.replace(certificate, signatures=certificate.signatures[:2])
    store.write_batch({b"c" + (3).to_bytes(8, "big"): encode(other)})
    store.close()
    with pytest.raises(Wrong, match="certificate"):
        Victim(tmp_path / "node", stage).run()
