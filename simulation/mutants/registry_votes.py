"""Mistakes in counting votes and accepting proposals."""

from __future__ import annotations

from typing import Final

from simulation.mutants.mutant import Mutant, mutant

_ORDERING: Final = "consensus.pbft.ordering:"
_CERTIFICATES: Final = "consensus.certificates:"

VOTES: Final[tuple[Mutant, ...]] = (
    mutant(
        "quorum-one-less",
        "a quorum is one replica smaller",
        ("primitives.quorum:quorum", "// 2 + 1", "// 2"),
    ),
    mutant(
        "prepared-by-one-less",
        "a proposal is prepared with one vote too few",
        (
            _ORDERING + "progress",
            "len(slot.preparers()) >= state.validators.quorum",
            "len(slot.preparers()) >= state.validators.quorum - 1",
        ),
    ),
    mutant(
        "decided-by-one-less",
        "a proposal is decided with one commit too few",
        (
            _ORDERING + "progress",
            "len(slot.committers()) >= state.validators.quorum",
            "len(slot.committers()) >= state.validators.quorum - 1",
        ),
    ),
    mutant(
        "own-prepare-counts-twice",
        "a backup counts its own prepare twice",
        (_ORDERING + "progress", "len(slot.preparers()) >=", "len(slot.preparers()) + bool(slot.own_prepare) >="),
    ),
    mutant(
        "own-commit-counts-twice",
        "a replica counts its own commit twice",
        (_ORDERING + "progress", "len(slot.committers()) >=", "len(slot.committers()) + 1 >="),
    ),
    mutant(
        "prepared-is-decided",
        "a prepared proposal is taken for a decided one",
        (
            _ORDERING + "progress",
            "slot.own_commit is not None and len(slot.committers()) >= state.validators.quorum",
            "slot.own_commit is not None",
        ),
    ),
    mutant(
        "commit-without-prepared",
        "a replica commits to what it accepted, prepared or not",
        (_ORDERING + "progress", "len(slot.preparers()) >= state.validators.quorum", "slot.preparers()"),
    ),
    mutant(
        "decides-without-own-commit",
        "commits of others decide what is not prepared here",
        (
            _ORDERING + "progress",
            "slot.own_commit is not None and len(slot.committers()) >=",
            "len(slot.committers()) + 1 >=",
        ),
    ),
    mutant(
        "prepares-for-anything",
        "prepares count whatever digest they name",
        ("consensus.pbft.slots:Slot.preparers", "if vote.digest == self.digest", "if vote.digest"),
    ),
    mutant(
        "commits-for-anything",
        "commits count whatever digest they name",
        ("consensus.pbft.slots:Slot.committers", "if vote.digest == self.digest", "if vote.digest"),
    ),
    mutant(
        "prepare-before-batches",
        "a proposal is accepted before its batches are held",
        (
            _ORDERING + "consider",
            "lacking = batches.missing(state, candidate.proposal)",
            "lacking: list[bytes] = []",
        ),
        (_ORDERING + "consider", "sum(state.batch_bytes[digest] for", "sum(state.batch_bytes.get(digest, 0) for"),
    ),
    mutant(
        "second-proposal-accepted",
        "a second proposal of one view and sequence replaces the first",
        (_ORDERING + "receive_pre_prepare", 'raise Refusal("two_proposals", message.replica)', "pass"),
        ("consensus.pbft.slots:Slot.accept", "assert self.pre_prepare is None", "self.prepares.clear()"),
    ),
    mutant(
        "proposal-of-anyone",
        "a proposal is taken from whoever signs it",
        (
            _ORDERING + "receive_pre_prepare",
            "if message.replica != state.primary or state.is_primary:",
            "if state.is_primary:",
        ),
    ),
    mutant(
        "watermarks-ignored",
        "proposals and votes are taken at any sequence",
        (_ORDERING + "check_window", "if not state.low < sequence <= state.high:", "if sequence < 0:"),
    ),
    mutant(
        "checkpoints-at-any-height",
        "checkpoints are kept beyond the high watermark",
        ("consensus.pbft.checkpoints:receive_checkpoint", "if message.sequence > state.high:", "if False:"),
    ),
    mutant(
        "out-of-order-acceptance",
        "a proposal is accepted although its predecessor is not",
        (_ORDERING + "predecessor_accepted", "if before <= max(state.view_base, state.low):", "if before >= 0:"),
    ),
    mutant(
        "timestamp-unchecked",
        "a proposal may bear any time",
        (_ORDERING + "check_fresh", "> state.configuration.clock_tolerance_ms", "> 2**62"),
    ),
    mutant(
        "proposer-unchecked",
        "a proposal may name another proposer",
        (_ORDERING + "check_fresh", "if proposal.proposer != message.replica:", "if False:"),
    ),
    mutant(
        "repeated-batch-accepted",
        "a proposal may name a batch twice",
        (
            _ORDERING + "check_fresh",
            "if len(set(proposal.batches)) != len(proposal.batches):",
            "if False:",
        ),
        (_ORDERING + "check_fresh", "len(proposal.batches) > state.configuration.batches_per_proposal_max", "False"),
    ),
    mutant(
        "proposal-too-large",
        "a primary fills a proposal above the byte limit",
        ("consensus.pbft.batches:fill_proposal", "state.batch_bytes[digest] > size_bytes_max", "size_bytes_max < 0"),
    ),
    mutant(
        "batches-in-order-of-arrival",
        "a decided sequence executes its batches as they came in",
        (
            _ORDERING + "deliver",
            "tuple(state.batches[digest] for digest in proposal.batches)",
            "tuple(held for digest, held in state.batches.items() if digest in proposal.batches)",
        ),
    ),
    mutant(
        "executed-again-after-synchronization",
        "what was fetched as a block is handed over once more",
        (
            "consensus.pbft.checkpoints:on_synchronized",
            "state.last_delivered = max(state.last_delivered, height)",
            "pass",
        ),
        (
            "consensus.pbft.checkpoints:on_synchronized",
            "state.decided.pop(sequence)))",
            "state.decided[sequence]))",
        ),
    ),
    mutant(
        "seals-of-different-blocks",
        "checkpoints for different blocks are counted together",
        (
            "consensus.pbft.checkpoints:count",
            "by_block.setdefault((vote.block_hash, vote.epoch_end), [])",
            "by_block.setdefault((state.blocks.get(sequence, (vote.block_hash, 0))[0], 0), [])",
        ),
    ),
    mutant(
        "certificate-by-one-less",
        "checkpoints of one too few make a certificate",
        (
            "consensus.pbft.checkpoints:count",
            "if len(agreeing) >= state.validators.quorum:",
            "if len(agreeing) >= state.validators.quorum - 1:",
        ),
    ),
    mutant(
        "certificate-below-quorum-accepted",
        "a finality certificate of any size is accepted",
        ("primitives.finality:verify_certificate", "if len(indices) < quorum(len(public_keys)):", "if not indices:"),
    ),
    mutant(
        "certificate-with-repeated-signer",
        "one signer may appear in a finality certificate more than once",
        (
            "primitives.finality:verify_certificate",
            "if any(later <= earlier for earlier, later in pairwise(indices)):",
            "if not indices:",
        ),
    ),
    mutant(
        "prepared-below-quorum-accepted",
        "a prepared certificate of any size is accepted",
        (_CERTIFICATES + "verify_prepared", "if len(backups) + 1 < validators.quorum:", "if False:"),
    ),
    mutant(
        "prepared-with-repeated-signer",
        "one signer may appear in a prepared certificate more than once",
        (
            _CERTIFICATES + "verify_prepared",
            "if primary in backups or any(later <= earlier for earlier, later in pairwise(backups)):",
            "if primary in backups:",
        ),
    ),
    mutant(
        "divergence-ignored",
        "a replica takes another block's certificate for its own",
        (
            "consensus.pbft.checkpoints:settle",
            "if own != (certificate.block_hash, certificate.epoch_end):",
            "if False:",
        ),
    ),
    mutant(
        "diverged-replica-votes",
        "a replica that knows of its wrong ledger goes on signing",
        ("consensus.pbft.state:State.silent", "self.diverged_at is not None", "False"),
    ),
)
