"""The protocol's messages: their bytes, their bounds, what their signatures cover."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import msgspec
import pytest
from consensus_harness import KEYS, NETWORK_ID, VERIFIER, validator_set
from consensus_kit import (
    NO_SIGNATURE,
    batch,
    certificate,
    checkpoint,
    commit,
    new_view,
    pre_prepare,
    prepare,
    prepared,
    proposal,
    signed,
    view_change,
)

from consensus.errors import ConsensusError, Refusal
from consensus.messages import (
    Batch,
    BatchRequest,
    Commit,
    Message,
    SlotSummary,
    Status,
    ViewChangeRequest,
    decode_message,
    encode_message,
    mask_replicas,
    replica_mask,
    signing_bytes,
    verify_signed,
)
from primitives.finality import finality_statement

VECTORS = Path(__file__).with_name("consensus_vectors.txt")
A = batch(2, 7, b"item one", b"item two")
CONTENT = proposal(0, A)


def examples() -> dict[str, Message]:
    """Return one message of every kind, all its fields set."""
    change = view_change(1, 3, prepared(0, 12, CONTENT, (1, 2)), stable=certificate(11, b"\x11" * 32))
    slots = (SlotSummary(12, False, True, replica_mask({0, 3}), b""), SlotSummary(13, True, True, b"", b""))
    status = Status(0, 3, 2, 5, 11, certificate(11, b"\x11" * 32), slots, 42, 99, 1, NO_SIGNATURE)
    return {
        "batch": A,
        "pre-prepare": pre_prepare(0, 12, CONTENT),
        "prepare": prepare(1, 0, 12, CONTENT),
        "commit": commit(1, 0, 12, CONTENT),
        "checkpoint": checkpoint(1, 11, b"\x11" * 32),
        "view-change": change,
        "new-view": new_view(3, [change], pre_prepare(3, 12, CONTENT)),
        "status": signed(status),
        "batch-request": BatchRequest(0, (A.digest,)),
        "view-change-request": ViewChangeRequest(0, (change.digest,)),
    }


def vectors() -> dict[str, str]:
    return dict(line.split(" ", 1) for line in VECTORS.read_text().splitlines())


def test_every_message_has_a_golden_vector() -> None:
    kinds = {
        str(kind.__struct_config__.tag) for member in get_args(Message) for kind in (get_args(member) or (member,))
    }
    assert kinds == set(vectors()) == set(examples())


@pytest.mark.parametrize("kind", sorted(examples()))
def test_a_message_has_its_golden_bytes(kind: str) -> None:
    message = examples()[kind]
    assert encode_message(message).hex() == vectors()[kind]
    assert decode_message(bytes.fromhex(vectors()[kind])) == message
    assert message.kind == kind


@pytest.mark.parametrize("kind", sorted(examples()))
def test_damaged_bytes_are_refused_with_a_typed_error_or_are_another_message(kind: str) -> None:
    """N4, N11: whatever a peer sends, decoding ends in a message or in ConsensusError."""
    data = encode_message(examples()[kind])
    for cut in range(0, len(data), 7):
        with pytest.raises(ConsensusError):
            decode_message(data[:cut])
    for index in range(0, len(data), 5):
        damaged = data[:index] + bytes([data[index] ^ 0x81]) + data[index + 1 :]
        try:
            assert decode_message(damaged) != examples()[kind]
        except ConsensusError:
            continue
    with pytest.raises(ConsensusError):
        decode_message(data + b"\x00")


@pytest.mark.parametrize("kind", sorted(set(examples()) - {"batch-request", "view-change-request"}))
def test_a_signature_covers_every_field(kind: str) -> None:
    """S10, S17: epoch, network, kind, signer and every field of the body are inside the signed bytes."""
    message = examples()[kind]
    assert not isinstance(message, BatchRequest | ViewChangeRequest)
    verify_signed(validator_set(4), VERIFIER, message)
    covered = signing_bytes(NETWORK_ID, message)
    assert covered != signing_bytes(b"\x01" * 32, message)
    for field in message.__struct_fields__:
        value = getattr(message, field)
        if field in ("signature", "items") or (kind == "checkpoint" and field == "replica"):
            continue  # items are covered through their root, a checkpoint's signer by its key alone
        if isinstance(value, int):
            other: object = value + 1
        elif isinstance(value, bytes):
            other = bytes(32)
        elif isinstance(value, tuple):
            other = value[1:]
        else:
            other = None
        assert covered != signing_bytes(NETWORK_ID, msgspec.structs.replace(message, **{field: other})), field


def test_a_prepare_signature_is_no_commit_signature() -> None:
    """S17: the same fields, another kind."""
    vote = prepare(1, 0, 12, CONTENT)
    with pytest.raises(Refusal, match="bad_signature"):
        verify_signed(validator_set(4), VERIFIER, Commit(*msgspec.structs.astuple(vote)))


@pytest.mark.parametrize(
    ("forged", "reason"),
    [
        (signed(commit(1, 0, 12, CONTENT), key=2), "bad_signature"),
        (signed(commit(1, 0, 12, CONTENT), network_id=b"\x07" * 32), "bad_signature"),
        (msgspec.structs.replace(commit(1, 0, 12, CONTENT), epoch=1), "other_epoch"),
        (signed(msgspec.structs.replace(commit(1, 0, 12, CONTENT), replica=4)), "not_a_member"),
        (signed(msgspec.structs.replace(commit(1, 0, 12, CONTENT), replica=127)), "not_a_member"),
    ],
)
def test_votes_of_others_networks_and_epochs_do_not_verify(forged: Commit, reason: str) -> None:
    """S9, S10."""
    with pytest.raises(Refusal, match=reason):
        verify_signed(validator_set(4), VERIFIER, forged)


def test_a_checkpoint_is_signed_as_the_blocks_finality_statement() -> None:
    vote = checkpoint(1, 11, b"\x11" * 32)
    assert signing_bytes(NETWORK_ID, vote) == finality_statement(NETWORK_ID, 0, 11, b"\x11" * 32, 0)


def test_items_swapped_after_signing_are_refused_when_decoded() -> None:
    """S11."""
    swapped = msgspec.structs.replace(A, items=(b"item two", b"item one"))
    with pytest.raises(ConsensusError, match="root"):
        decode_message(encode_message(swapped))


@pytest.mark.parametrize(
    "message",
    [
        msgspec.structs.replace(pre_prepare(0, 1, CONTENT), sequence=0),
        msgspec.structs.replace(view_change(1, 1), new_view=0),
        view_change(1, 3, prepared(0, 13, CONTENT, (1, 2)), prepared(0, 12, CONTENT, (1, 2))),
        view_change(1, 3, prepared(0, 12, CONTENT, (1, 2)), prepared(0, 12, CONTENT, (1, 2))),
        new_view(1, [view_change(2, 1), view_change(1, 1)]),
        new_view(1, [view_change(2, 1), view_change(2, 1)]),
        msgspec.structs.replace(commit(1, 0, 1, CONTENT), replica=128),
        msgspec.structs.replace(commit(1, 0, 1, CONTENT), sequence=2**63),
        msgspec.structs.replace(commit(1, 0, 1, CONTENT), digest=bytes(31)),
        msgspec.structs.replace(commit(1, 0, 1, CONTENT), signature=bytes(63)),
        Batch(0, 0, 1, 1, bytes(32), (bytes(64 * 1024 + 1),), NO_SIGNATURE),
        BatchRequest(0, (bytes(32),) * 1025),
    ],
)
def test_what_is_out_of_bounds_or_inconsistent_is_no_message(message: Message) -> None:
    """S7, N11: also distinct signers and rising sequences."""
    with pytest.raises(ConsensusError):
        decode_message(encode_message(message))


def test_another_encoding_of_the_same_vote_is_refused() -> None:
    """S8: one vote has one encoding."""
    data = encode_message(commit(1, 0, 12, CONTENT))
    header = data[:1]
    assert header == b"\x98"  # an array of eight
    with pytest.raises(ConsensusError):
        decode_message(b"\xdc\x00\x08" + data[1:])


@pytest.mark.parametrize("replicas", [set(), {0}, {7, 8}, {127}, set(range(128))])
def test_masks_hold_any_set_of_replicas(replicas: set[int]) -> None:
    mask = replica_mask(replicas)
    assert mask_replicas(mask) == replicas
    assert len(mask) <= 16
    full = signed(Status(0, 1, 0, 0, 0, None, (SlotSummary(1, False, True, mask, mask),), 0, 0, 2, NO_SIGNATURE))
    assert decode_message(encode_message(full)) == full


def test_a_digest_names_the_content_not_the_signature() -> None:
    again = signed(msgspec.structs.replace(A, position=5))
    assert again.digest == A.digest
    assert batch(2, 8, *A.items).digest != A.digest
    assert batch(1, 7, *A.items).digest != A.digest
    assert KEYS[2].public_key != KEYS[1].public_key
