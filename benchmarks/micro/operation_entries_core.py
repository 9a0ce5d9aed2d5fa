"""What `operation_costs` measures of organizations, credits, assets, observers, governance, validators and
development: one small function for each tag, and one more for a variant.

A function gets a fresh `World`, does what must have been done before, and returns who sends the operation, and it. The
cost of that operation alone is measured. Where an operation can take cheaper and dearer ways, the dearer one counts.
"""

from __future__ import annotations

from benchmarks.micro.operation_entry import TERMS, TRAINING, Ready, entry
from benchmarks.micro.operation_world import BLOCK_HASH, HEIGHT, NAMES, SALT, World, certificate, key, tls_key
from consensus.evidence import build_evidence
from consensus.messages import Prepare, sign
from ledger.epochs import pending_changes
from ledger.modules.assets import operations as assets
from ledger.modules.credits.operations import Transfer
from ledger.modules.development.operations import AdvanceClock
from ledger.modules.governance import operations as governance
from ledger.modules.governance.records import proposal_id
from ledger.modules.observers import operations as observers
from ledger.modules.organizations import operations as organizations
from ledger.modules.validators import operations as validators
from ledger.parameters import DAY_MS
from primitives.codec import encode
from primitives.identifiers import node_id

# --- organizations and credits


@entry("organizations.open_account")
def _open_account(world: World) -> Ready:
    return Ready(world.accounts["alder"], organizations.OpenAccount(key("new").public_key, SALT, "new"))


@entry("organizations.add_key")
def _add_key(world: World) -> Ready:
    return Ready(world.accounts["alder"], organizations.AddKey(key("second").public_key, "operator"))


@entry("organizations.revoke_key")
def _revoke_key(world: World) -> Ready:
    world.do("alder", organizations.AddKey(key("second").public_key, "operator"))
    return Ready(world.accounts["alder"], organizations.RevokeKey(key("second").public_key))


@entry("organizations.rotate_key")
def _rotate_key(world: World) -> Ready:
    return Ready(world.accounts["alder"], organizations.RotateKey(key("alder").public_key, key("next").public_key))


@entry("organizations.request_recovery")
def _request_recovery(world: World) -> Ready:
    lost = world.open_account("alder", "lost")
    return Ready(world.accounts["alder"], organizations.RequestRecovery(lost, key("found").public_key))


@entry("organizations.complete_recovery")
def _complete_recovery(world: World) -> Ready:
    request = _request_recovery(world)
    world.do(request.sender, request.operation)
    world.now_ms += world.parameters.recovery_delay_ms
    return Ready(request.sender, organizations.CompleteRecovery(request.operation.account))


@entry("organizations.veto_recovery")
def _veto_recovery(world: World) -> Ready:
    request = _request_recovery(world)
    world.do(request.sender, request.operation)
    return Ready(request.operation.account, organizations.VetoRecovery())


@entry("credits.transfer")
def _transfer(world: World) -> Ready:
    return Ready(world.accounts["alder"], Transfer(world.accounts["birch"], 5))


# --- assets


@entry("assets.commit")
def _commit(world: World) -> Ready:
    return Ready(world.accounts["alder"], assets.Commit(bytes(32)))


@entry("assets.register")
def _register(world: World) -> Ready:
    world.commit("alder", "work")
    return Ready(world.accounts["alder"], world.registration("work"))


@entry("assets.register", "with eight parents")
def register_derived(world: World) -> Ready:
    derivations = []
    for at in range(assets.PARENTS_MAX):
        parent = world.register("alder", f"parent {at}")
        grant = world.license("alder", parent, "birch", TRAINING)
        derivations.append(assets.Derivation(parent, "train-on", grant))
    world.commit("birch", "work")
    provenance = assets.Provenance(derivations=tuple(derivations))
    return Ready(world.accounts["birch"], world.registration("work", provenance=provenance))


@entry("assets.add_version")
def _add_version(world: World) -> Ready:
    asset = world.register("alder", "work")
    world.commit("alder", "second")
    return Ready(world.accounts["alder"], assets.AddVersion(asset, world.artifact("second"), SALT))


@entry("assets.set_alias")
def _set_alias(world: World) -> Ready:
    return Ready(world.accounts["alder"], assets.SetAlias(world.register("alder", "work"), "stable", 1))


@entry("assets.set_manager")
def _set_manager(world: World) -> Ready:
    return Ready(world.accounts["alder"], assets.SetManager(world.register("alder", "work"), world.accounts["birch"]))


@entry("assets.update_metadata")
def _update_metadata(world: World) -> Ready:
    asset = world.register("alder", "work")
    described = assets.UpdateMetadata(asset, "better", "what it is", ("speech",), (("language", "en"),))
    return Ready(world.accounts["alder"], described)


@entry("assets.consent")
def _consent(world: World) -> Ready:
    asset = world.register("alder", "work")
    digest = assets.action_digest(assets.Retire(asset))
    return Ready(world.accounts["alder"], assets.Consent(asset, digest, world.now_ms + DAY_MS))


@entry("assets.withdraw_consent")
def _withdraw_consent(world: World) -> Ready:
    given = _consent(world)
    world.do(given.sender, given.operation)
    return Ready(given.sender, assets.WithdrawConsent(given.operation.asset, given.operation.action))


@entry("assets.retire")
def _retire(world: World) -> Ready:
    return Ready(world.accounts["alder"], assets.Retire(world.register("alder", "work")))


def _held_by_two(world: World) -> tuple[bytes, Ready]:
    """An asset that the next report makes available."""
    world.commit("alder", "work")
    world.do("alder", world.registration("work"))
    asset = assets.asset_id(world.network_id, world.accounts["alder"], world.artifact("work").cid)
    for name in NAMES[:2]:
        world.do(world.validators[name], assets.ReportHeld(asset, 1))
    return asset, Ready(world.validators[NAMES[2]], assets.ReportHeld(asset, 1))


@entry("assets.report_held")
def _report_held(world: World) -> Ready:
    return _held_by_two(world)[1]


@entry("assets.report_held", "that pays a waiting purchase")
def _report_held_paying(world: World) -> Ready:
    asset, ready = _held_by_two(world)
    world.license("alder", asset, "birch", TERMS)
    return ready


# --- observers


def _observer(world: World) -> observers.Register:
    shown, address = certificate("observer"), "observer.example:7000"
    signed = observers.registration_bytes(world.network_id, "org-alder", shown, address)
    proof = key("tls observer").sign(signed)
    return observers.Register(str(node_id(tls_key("observer"))), shown, address, proof)


@entry("observers.register")
def _register_observer(world: World) -> Ready:
    return Ready(world.accounts["alder"], _observer(world))


@entry("observers.withdraw")
def _withdraw_observer(world: World) -> Ready:
    registration = _observer(world)
    world.do("alder", registration)
    return Ready(world.accounts["alder"], observers.Withdraw(registration.node_id))


# --- governance and validators


def _admission() -> governance.Propose:
    change = governance.AddValidator(
        organization="org-alder",
        node_id=str(node_id(tls_key("candidate"))),
        signing_key=key("candidate").public_key,
        tls_certificate=certificate("candidate"),
        address="candidate.example:7000",
    )
    return governance.Propose(change, "let it in")


def _organization() -> governance.Propose:
    first = governance.FoundingAccount(key("founder").public_key, SALT, "founder")
    change = governance.AdmitOrganization("org-elm", governance.Founding("Elm", (first,)))
    return governance.Propose(change, "let them in")


def _quota() -> governance.Propose:
    quota = organizations.Quota(records=100_000, bytes=100_000_000, deadlines=10_000)
    return governance.Propose(governance.SetQuota("org-birch", quota), "they have grown")


def _approved(world: World, change: governance.Propose) -> Ready:
    """The vote that approves what is proposed."""
    proposal = proposal_id(world.do("alder", change), change.change)
    for name in NAMES[:2]:
        world.do(name, governance.Vote(proposal, True))
    return Ready(world.accounts[NAMES[2]], governance.Vote(proposal, True))


@entry("governance.propose", "a validator")
def _propose(world: World) -> Ready:
    return Ready(world.accounts["alder"], _admission())


@entry("governance.propose", "an organization")
def _propose_organization(world: World) -> Ready:
    return Ready(world.accounts["alder"], _organization())


@entry("governance.propose", "a quota")
def _propose_quota(world: World) -> Ready:
    return Ready(world.accounts["alder"], _quota())


@entry("governance.propose", "a recovery, which freezes the account")
def _propose_recovery(world: World) -> Ready:
    lost = world.open_account("alder", "lost")
    world.do("alder", organizations.RequestRecovery(lost, key("found").public_key))
    world.do(lost, organizations.VetoRecovery())
    change = governance.RecoverAccount(lost, key("found").public_key)
    return Ready(world.accounts["alder"], governance.Propose(change, "it was the thief who vetoed"))


@entry("governance.vote", "of several")
def _vote(world: World) -> Ready:
    operation = _quota()
    proposal = proposal_id(world.do("alder", operation), operation.change)
    return Ready(world.accounts["alder"], governance.Vote(proposal, True))


@entry("governance.vote", "that approves a validator")
def _approve(world: World) -> Ready:
    return _approved(world, _admission())


@entry("governance.vote", "that approves an organization")
def _approve_organization(world: World) -> Ready:
    return _approved(world, _organization())


@entry("governance.vote", "that approves a quota")
def _approve_quota(world: World) -> Ready:
    return _approved(world, _quota())


@entry("governance.vote", "that approves a recovery")
def _approve_recovery(world: World) -> Ready:
    return _approved(world, _propose_recovery(world).operation)


@entry("validators.ready")
def _ready(world: World) -> Ready:
    approval = _approve(world)
    world.do(approval.sender, approval.operation)
    (change,) = pending_changes(world.view).values()
    assert change.record is not None
    return Ready(change.record.account, validators.Ready(HEIGHT - 1, BLOCK_HASH))


@entry("validators.rejoin")
def _rejoin(world: World) -> Ready:
    return Ready(world.validators["alder"], validators.Rejoin(7))


@entry("validators.report_evidence", "with its two signature checks")
def _report_evidence(world: World) -> Ready:
    culprit = key("validator birch")
    votes = [
        sign(world.network_id, culprit, Prepare(0, 1, 0, 3, 9, bytes([value]) * 32, bytes(64))) for value in (1, 2)
    ]
    evidence = encode(build_evidence(*votes))
    return Ready(world.validators["alder"], validators.ReportEvidence(evidence))


@entry("development.advance_clock")
def _advance_clock(world: World) -> Ready:
    return Ready(world.accounts["alder"], AdvanceClock(5))
