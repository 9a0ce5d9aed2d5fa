"""CIDs have one kind and one spelling."""

from __future__ import annotations

import base64
import hashlib

import pytest

from artifacts import cid as cids
from artifacts.cid import Codec
from artifacts.errors import ArtifactError, BlockMismatch, InvalidCid

HELLO = "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"


def spell(binary: bytes) -> str:
    return "b" + base64.b32encode(binary).decode().lower().rstrip("=")


def test_a_known_block_gets_its_known_name() -> None:
    assert cids.raw_cid(b"hello world") == HELLO
    assert cids.parse(HELLO) == (Codec.RAW, hashlib.sha256(b"hello world").digest())
    assert cids.from_bytes(cids.to_bytes(HELLO)) == HELLO
    assert len(HELLO) == cids.CID_TEXT_LENGTH


def test_raw_and_dag_pb_names_of_the_same_bytes_differ() -> None:
    raw, dag_pb = cids.raw_cid(b"x"), cids.dag_pb_cid(b"x")
    assert raw != dag_pb
    assert cids.parse(dag_pb).codec is Codec.DAG_PB


DIGEST = hashlib.sha256(b"hello world").digest()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "b",
        HELLO[:-1],
        HELLO + "a",
        HELLO.upper(),
        HELLO[:-1] + HELLO[-1].upper(),
        " " + HELLO[1:],
        HELLO[:-1] + "\n",
        HELLO[:-1] + "1",
        HELLO[:-1] + "е",
        "/" + HELLO[1:],
        "b" + "../" * 19 + "a",
        "z" + HELLO[1:],
        "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG",
        spell(b"\x01\x55\x13\x20" + DIGEST),
        spell(b"\x01\x55\x1e\x20" + DIGEST),
        spell(b"\x01\x71\x12\x20" + DIGEST),
        spell(b"\x00\x55\x12\x20" + DIGEST),
        spell(b"\x02\x55\x12\x20" + DIGEST),
        spell(b"\x01\x55\x12\x14" + DIGEST[:20]),
        spell(b"\x01\x55\x12\x1f" + DIGEST),
        # The last character carries bits that no byte uses; another one must not be a second spelling.
        HELLO[:-1] + "f",
    ],
)
def test_anything_but_the_one_spelling_is_refused(text: str) -> None:
    """A5: length, case, alphabet, version, codec, hash function, digest length, padding bits."""
    with pytest.raises(InvalidCid) as caught:
        cids.parse(text)
    assert caught.value.code == "cid.invalid"


def test_other_bytes_under_a_name_are_refused() -> None:
    """M1: the hash decides, not the claim."""
    with pytest.raises(BlockMismatch):
        cids.check_block(HELLO, b"hello worle")
    assert cids.check_block(HELLO, b"hello world").codec is Codec.RAW


def test_every_error_of_the_room_has_one_root() -> None:
    assert issubclass(InvalidCid, ArtifactError)
    assert issubclass(BlockMismatch, ArtifactError)
