"""Mistakes in who signed what: signatures not verified, or not over everything."""

from __future__ import annotations

from typing import Final

from simulation.mutants.mutant import Mutant, mutant

_ORDERING: Final = "consensus.pbft.ordering:"
_VERIFY: Final = "    state.verify(message)"

SIGNATURES: Final[tuple[Mutant, ...]] = (
    mutant(
        "prepare-unverified",
        "prepares are believed unsigned",
        (
            _ORDERING + "receive_vote",
            "state.verify(message)",
            "state.verify(message) if isinstance(message, Commit) else None",
        ),
    ),
    mutant(
        "commit-unverified",
        "commits are believed unsigned",
        (
            _ORDERING + "receive_vote",
            "state.verify(message)",
            "state.verify(message) if isinstance(message, Prepare) else None",
        ),
    ),
    mutant(
        "pre-prepare-unverified",
        "proposals are believed unsigned",
        (_ORDERING + "receive_pre_prepare", _VERIFY, "    pass"),
    ),
    mutant(
        "early-message-unverified",
        "messages of views to come are believed unsigned",
        ("consensus.pbft.early:keep", _VERIFY, "    pass"),
        (_ORDERING + "receive_vote", _VERIFY, "    state.verify(message) if state.view == 0 else None"),
    ),
    mutant(
        "checkpoint-unverified",
        "checkpoints are believed unsigned",
        ("consensus.pbft.checkpoints:receive_checkpoint", _VERIFY, "    pass"),
    ),
    mutant(
        "view-change-unverified",
        "ViewChanges are believed unsigned",
        ("consensus.pbft.view_change:receive_view_change", _VERIFY, "    pass"),
    ),
    mutant(
        "new-view-unverified",
        "NewViews are believed unsigned",
        ("consensus.pbft.entering:receive_new_view", "        state.verify(message)", "        pass"),
    ),
    mutant(
        "reissue-unverified",
        "re-issued proposals in a NewView are believed unsigned",
        ("consensus.pbft.entering:matches", "            state.verify(pre_prepare)", "            pass"),
    ),
    mutant(
        "batch-unverified",
        "batches are believed unsigned",
        ("consensus.pbft.batches:receive_batch", "    state.verify(batch)", "    pass"),
    ),
    mutant(
        "status-unverified",
        "Status messages are believed unsigned",
        ("consensus.pbft.repair:receive_status", "state.verify(status)", "pass"),
    ),
    mutant(
        "certificate-signatures-unverified",
        "the signatures in a finality certificate are counted, not checked",
        (
            "primitives.finality:verify_certificate",
            "if not check(public_keys[index], statement, signature):",
            "if not statement or not signature:",
        ),
    ),
    mutant(
        "prepared-votes-unverified",
        "the prepares in a prepared certificate are counted, not checked",
        ("consensus.certificates:verify_prepared", "verify_signed(validators, verifier, prepare)", "pass"),
    ),
    mutant(
        "prepared-proposal-unverified",
        "the proposal in a prepared certificate is believed unsigned, and so are its votes",
        ("consensus.certificates:verify_prepared", "verify_signed(validators, verifier, pre_prepare)", "pass"),
        ("consensus.certificates:verify_prepared", "verify_signed(validators, verifier, prepare)", "pass"),
    ),
    mutant(
        "digest-not-signed",
        "a vote's signature does not cover the digest",
        (
            "consensus.messages:signing_bytes",
            "    if isinstance(message, Batch):",
            "    if isinstance(message, Prepare | Commit):\n"
            "        unsigned = msgspec.structs.replace(unsigned, digest=bytes(32))\n"
            "    if isinstance(message, Batch):",
        ),
    ),
    mutant(
        "sequence-not-signed",
        "a vote's signature does not cover the sequence",
        (
            "consensus.messages:signing_bytes",
            "    if isinstance(message, Batch):",
            "    if isinstance(message, Prepare | Commit):\n"
            "        unsigned = msgspec.structs.replace(unsigned, sequence=0)\n"
            "    if isinstance(message, Batch):",
        ),
    ),
    mutant(
        "kind-not-signed",
        "a prepare's signature is good for a commit",
        (
            "consensus.messages:signing_bytes",
            'domain(f"consensus/{message.kind}") + network_id + encode(unsigned)',
            'domain("consensus/vote") + network_id + encode(unsigned).replace(b"\\xa6commit", b"\\xa7prepare")',
        ),
    ),
    mutant(
        "network-not-signed",
        "a message of another network is good here",
        ("consensus.messages:signing_bytes", "+ network_id +", "+ bytes(32) +"),
    ),
    mutant(
        "batch-root-unchecked",
        "a batch's items need not be those that its author signed",
        (
            "consensus.messages:validate_basic",
            "if list_root(message.items) != message.items_root:",
            "if len(message.items_root) != 32:",
        ),
    ),
    mutant(
        "epoch-unchecked",
        "votes of another epoch count in this one",
        ("consensus.messages:verify_signed", "if message.epoch != validators.epoch:", "if False:"),
        ("consensus.pbft.replica:Replica._receive", "if message.epoch != state.validators.epoch:", "if False:"),
    ),
    mutant(
        "accused-before-verified",
        "a forged proposal is taken for proof against the primary",
        (
            _ORDERING + "receive_pre_prepare",
            "    state.verify(message)\n    if known is not None:",
            "    if known is None:\n        state.verify(message)\n    if known is not None:",
        ),
    ),
)
