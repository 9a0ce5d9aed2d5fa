"""Stories of the protocol: the language of their scripts, and how a file is read, played and written anew.

A file begins with `# S3, L2: ...`, the cases of tests/README.md and the tale. Then come blocks, parted by blank lines:
commands, `----`, and what replicas then did that a reader wants to see. Refusals, evidence, votes, decisions and new
views are shown; records, timers and Status are not. tests/scenarios/README.md explains the commands.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
from consensus_harness import FAST, VERIFIER
from story_forge import Forge, ids, names
from story_stage import Recorder, Stage

from consensus import engine
from consensus.evidence import Evidence, build_evidence, verify_evidence
from consensus.messages import Message, encode_message

Wanted = Callable[[int, int, Message], bool]
RULE: Final = "----"


def play(script: str) -> str:
    """Run a file's commands and return the file as it should be."""
    story = Story()
    head, *blocks = script.split("\n\n")
    written = [head.rstrip("\n")]
    for block in blocks:
        commands = (block + "\n").partition(RULE + "\n")[0].rstrip("\n")
        for line in commands.splitlines():
            if line and not line.startswith("#"):
                story.perform(line)
        written.append("\n".join([commands, RULE, *story.take()]))
    return "\n\n".join(written) + "\n"


class Story:
    """Performs commands; `take` returns what came of them."""

    stage: Stage
    forge: Forge

    def perform(self, line: str) -> None:
        verb, *words = line.split()
        arguments = dict(word.split("=", 1) for word in words)
        try:
            getattr(self, "do_" + verb.replace("-", "_"))(**arguments)
        except (TypeError, KeyError, AttributeError, StopIteration) as error:
            raise ValueError(f"cannot perform {line!r}: {error!r}") from error
        self.stage.drain()

    def take(self) -> list[str]:
        return self.stage.recorder.take(timed=self.stage.running)

    # --- the cluster ---

    def do_cluster(
        self, replicas: str, faulty: str = "", clock: str = "", timers: str = "", **configuration: str
    ) -> None:
        """Start replicas; those named `faulty` send only what the script forges."""
        chosen = msgspec.structs.replace(FAST, **{field: int(value) for field, value in configuration.items()})
        self.stage = Stage(int(replicas), chosen, running=clock == "running", timers_shown=timers == "shown")
        self.stage.faulty = set(ids(faulty))
        self.stage.referee.faulty = set(ids(faulty))
        self.forge = Forge(lambda height: self.stage.referee.blocks[height])
        for actor in self.stage.actors:
            if actor.id not in self.stage.faulty:
                actor.start()

    def chosen(self, replicas: str | None) -> list[int]:
        if replicas is not None:
            return ids(replicas)
        return [actor.id for actor in self.stage.actors if actor.alive]

    def do_submit(self, replica: str, items: str) -> None:
        """The node of `replica` closes a batch."""
        self.stage.submit(int(replica), *(item.encode() for item in names(items)))

    def do_busy(self, replica: str, blocks: str) -> None:
        """So many blocks, one batch each, that are not worth telling one by one."""
        recorder, self.stage.recorder = self.stage.recorder, Recorder()
        for number in range(int(blocks)):
            self.stage.submit(int(replica), b"%d" % number)
            self.stage.settle(lambda sender, receiver, message: True)
        self.stage.recorder = recorder
        for actor in self.stage.actors:
            if actor.alive:
                self.stage.note(actor.id, f"... executed {actor.ledger.height}")

    def do_crash(self, replica: str, unsynced: str = "kept") -> None:
        """Kill -9 (`unsynced=kept`) or a loss of power (`unsynced=lost`)."""
        for chosen in ids(replica):
            self.stage.actors[chosen].crash(keep_unsynced=0 if unsynced == "lost" else None)
            self.stage.wire = [letter for letter in self.stage.wire if letter[1] != chosen]

    def do_start(self, replica: str) -> None:
        for chosen in ids(replica):
            self.stage.actors[chosen].start()

    def do_break(self, replica: str, records: str = "kept") -> None:
        """The replica's next step that sends anything ends before that, its records synced (`kept`) or `lost`."""
        self.stage.actors[int(replica)].breaks_before_sending = records

    def do_copy(self, replica: str) -> None:
        """Somebody backs up the replica's vote log."""
        self.stage.actors[int(replica)].copied = list(self.stage.actors[int(replica)].records)

    def do_truncate(self, replica: str) -> None:
        """The node writes its vote log anew, with what the replica still needs."""
        actor = self.stage.actors[int(replica)]
        before = len(actor.records) + len(actor.unsynced)
        actor.records, actor.unsynced = actor.replica.retained_records(), []
        self.stage.note(actor.id, f"its vote log shrinks from {before} records to {len(actor.records)}")

    def do_forget(self, replica: str, log: str = "lost", ledger: str = "kept") -> None:
        """While it is down, its log is lost or replaced by the copy, and its ledger is lost or kept."""
        self.stage.actors[int(replica)].forget(log, ledger)

    def do_change(self, at: str, end: str) -> None:
        """The block `at` changes the validators: it and all later ones say that the epoch ends with block `end`."""
        self.stage.changed_at, self.stage.epoch_end = int(at), int(end)

    def do_begin_epoch(self, members: str, rekeyed: str = "") -> None:
        """Everyone who has the epoch's last block begins the next epoch, with the first `members` replicas in it."""
        validators = self.stage.next_validators(int(members), ids(rekeyed))
        self.stage.validators, self.stage.changed_at = validators, 0
        self.forge.signers = {replica: self.stage.key_of(replica, ids(rekeyed)) for replica in ids(rekeyed)}
        for actor in self.stage.actors:
            if actor.alive:
                assert actor.ledger.height >= validators.base, f"replica {actor.id} has not reached the epoch's end"
                actor.begin_epoch(validators, self.stage.key_of(actor.id, ids(rekeyed)))

    def do_hold(self, replica: str, what: str) -> None:
        for chosen in ids(replica):
            self.stage.actors[chosen].held.add(what)

    def do_release(self, replica: str, what: str) -> None:
        for chosen in ids(replica):
            self.stage.actors[chosen].release(what)

    def do_spoil(self, replica: str) -> None:
        """The next block that the replica's ledger executes comes out different."""
        self.stage.actors[int(replica)].spoiled = True

    def do_skew(self, replica: str, ms: str) -> None:
        self.stage.skew_ms[int(replica)] = int(ms)

    def do_synchronize(self, replica: str) -> None:
        """The node fetched the blocks up to the highest certificate of the others."""
        heads = [actor.ledger.stable for actor in self.stage.actors if actor.alive and actor.id != int(replica)]
        stable = max((head for head in heads if head is not None), key=lambda head: head.height)
        self.stage.actors[int(replica)].fetch(engine.SyncNeeded(stable, ()))

    # --- the network and time ---

    def do_cut(self, groups: str) -> None:
        """Only replicas of one group hear each other: `groups=01|23`. What is on the wire between them is lost."""
        self.stage.partition(*({int(replica) for replica in group} for group in groups.split("|")))
        self.stage.wire = [letter for letter in self.stage.wire if self.stage.connected(letter[0], letter[1])]

    def do_deaf(self, links: str) -> None:
        """One-way links that carry nothing: `links=0>2,1>2`."""
        self.stage.links_down |= {(int(a), int(b)) for a, b in (link.split(">") for link in names(links))}

    def do_heal(self) -> None:
        self.stage.links_down = set()

    def wanted(self, words: dict[str, str]) -> Wanted:
        """Read a filter: `type`, `without` (types), `from`, `to`, `view`, `sequence`."""
        kinds, without = names(words.pop("type", "")), names(words.pop("without", ""))
        senders, receivers = words.pop("from", None), words.pop("to", None)
        fields = {field: int(value) for field, value in words.items()}

        def fits(sender: int, receiver: int, message: Message) -> bool:
            return (
                (not kinds or message.kind in kinds)
                and message.kind not in without
                and (senders is None or sender in ids(senders))
                and (receivers is None or receiver in ids(receivers))
                and all(getattr(message, field, value) == value for field, value in fields.items())
            )

        return fits

    def do_deliver(self, **words: str) -> None:
        """Deliver what is on the wire now and fits; answers stay on the wire."""
        self.stage.deliver_round(self.wanted(words))

    def do_settle(self, **words: str) -> None:
        """Deliver, answers included, until nothing that fits is left."""
        self.stage.settle(self.wanted(words))

    def do_lose(self, **words: str) -> None:
        lost = self.wanted(words)
        self.stage.wire = [letter for letter in self.stage.wire if not lost(*letter)]

    def do_expire(self, timer: str, replica: str | None = None) -> None:
        for chosen in self.chosen(replica):
            actor = self.stage.actors[chosen]
            if actor.timers.pop(timer, None) is None:
                self.stage.note(chosen, f"no {timer} timer runs")
            else:
                actor.step(engine.TimerExpired(timer))  # type: ignore[arg-type]  # the script's word

    def do_repair(self, rounds: str = "1", replica: str | None = None, quietly: str = "") -> None:
        """Status goes round, and what it brings, until rest; `quietly` leaves out who sent what to whom."""
        for _ in range(int(rounds)):
            self.do_expire("status", replica)
            self.do_settle()
        if quietly:
            self.stage.recorder.drop(lambda text: " -> " in text or text.startswith("refused"))

    def do_run(self, ms: str) -> None:
        """Let `ms` of virtual time pass (`clock=running`)."""
        assert self.stage.running
        self.stage.run(int(ms))

    # --- forged and caught messages ---

    def do_batch(self, name: str, author: str, to: str = "", **words: str) -> None:
        made = self.forge.message("batch", author, **{"items": name, **words})
        self.forge.known[name] = made
        self.stage.words.learn(made)
        self.send(made, to)

    def do_proposal(self, name: str, **words: str) -> None:
        self.stage.words.learn_proposal(self.forge.make_proposal(name, **words))

    def do_prepared(self, name: str, **words: str) -> None:
        self.forge.make_prepared(name, n=self.stage.n, **words)

    def do_certificate(self, name: str, **words: str) -> None:
        self.forge.make_certificate(name, **words)

    def do_forge(self, to: str = "", name: str = "", times: str = "1", over: str = "", **words: str) -> None:
        """Make a message and send it to `to`, `times` times, over the link of replica `over` (else its signer's)."""
        if words["type"] == "status":
            words.setdefault("receiver", to.split(",")[0])
        made = self.forge.message(**words)
        if name:
            self.forge.known[name] = made
        self.send(made, to, int(times), over)

    def do_catch(self, name: str, type: str, signer: str, **words: str) -> None:
        """Name the newest such message that a replica has sent."""
        fields = {"replica": int(signer)} | {field: int(value) for field, value in words.items()}
        self.forge.known[name] = next(
            message
            for _, message in reversed(self.stage.sent)
            if message.kind == type and all(getattr(message, field) == value for field, value in fields.items())
        )

    def do_send(self, message: str, to: str, times: str = "1", over: str = "", encoding: str = "") -> None:
        """Send a known message (again); `encoding=padded` writes its epoch in two bytes instead of one."""
        self.send(self.forge.known[message], to, int(times), over, encoding)

    def send(self, made: Any, to: str, times: int = 1, over: str = "", encoding: str = "") -> None:
        data = encode_message(made)
        if encoding == "padded":
            tag_end = data.index(made.kind.encode()) + len(made.kind)
            assert data[tag_end] == made.epoch < 128
            data = data[:tag_end] + b"\xcc" + data[tag_end:]
        for receiver in ids(to):
            for _ in range(times):
                self.stage.offer(receiver, data, int(over or made.replica))

    # --- asking ---

    def do_show(self, replica: str | None = None) -> None:
        """Tell where replicas stand."""
        for chosen in self.chosen(replica):
            status = self.stage.hosts[chosen].replica.status()
            order = [item.decode() for item in self.stage.hosts[chosen].ledger.items]
            asks = " changing view" if status.changing_view else ""
            self.stage.note(
                chosen,
                f"view {status.view}{asks}, executed {status.last_executed}, stable {status.stable_checkpoint},"
                f" order {' '.join(order) or '(nothing)'}",
            )

    def do_why(self, replica: str | None = None) -> None:
        """Tell whose votes replicas hold for what is undecided, uncertified or wished for."""
        for chosen in self.chosen(replica):
            for sentence in self.stage.actors[chosen].votes_held() or ["waits for nothing"]:
                self.stage.note(chosen, sentence)

    def do_compare_evidence(self, replica: str) -> None:
        """Tell whether replicas that saw the same wrote the same bytes."""
        written = {msgspec.msgpack.encode(evidence) for r in ids(replica) for evidence in self.stage.evidence_of(r)}
        for chosen in ids(replica):
            self.stage.note(
                chosen, f"records held: {len(self.stage.evidence_of(chosen))}; different ones in all: {len(written)}"
            )

    def do_judge(self, first: str, second: str, swapped: str = "") -> None:
        """Tell what anyone says of two messages offered as evidence."""
        evidence = build_evidence(self.forge.known[first], self.forge.known[second])
        if swapped:
            evidence = Evidence(evidence.second, evidence.first)
        verdict = verify_evidence(self.stage.validators, VERIFIER, evidence)
        for actor in self.stage.actors:
            self.stage.note(actor.id, "convicts" if verdict else "does not convict")
