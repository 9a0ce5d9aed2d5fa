"""Founding a network as its members do it: four of them, four machines, by the command line alone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cluster_kit import COMMANDS

from guildmark.cluster import probe
from guildmark.cluster.ports import choose_ports
from ledger import genesis as genesis_files
from primitives.finality import FinalityCertificate, verify_certificate
from primitives.identifiers import key_from_text

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("ceremony"), pytest.mark.timeout(300)]
ORGANIZATIONS = ("alder", "birch", "cedar", "dogwood")
SECRET_LENGTH_MIN = 40
"""Characters of the shortest secret looked for; every key's text is longer."""


class Member:
    """An organization's machine: one directory, its own passphrase, and what arrived by mail in `received`."""

    def __init__(self, directory: Path, organization: str, port: int) -> None:
        self.organization = organization
        self.address = f"127.0.0.1:{port}"
        self.directory = directory / organization
        self.received = self.directory / "received"
        self.received.mkdir(parents=True)
        self.url = ""
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith("GUILDMARK_")}
        self._environment |= {"HOME": str(self.directory), "GUILDMARK_PASSPHRASE": f"only {organization} knows"}
        self._process: subprocess.Popen[str] | None = None

    def __call__(self, *arguments: str, ends_with: int = 0) -> Any:
        """Run `guildmark` in the member's directory; return what its JSON says."""
        run = COMMANDS.run([*arguments, "--json"], self.directory, self._environment)
        assert run.returncode == ends_with, (arguments, run.stdout, run.stderr)
        assert "Traceback" not in run.stderr
        return json.loads(run.stdout or run.stderr.splitlines()[-1])

    def acting(self, *arguments: str) -> Any:
        """The same with the member's wallet and node."""
        return self(*arguments, "--node", self.url, "--wallet", "wallet", "--account", self.organization)

    def prepare(self) -> None:
        """Make the account's key, the node's keys and the descriptor."""
        self("key", "create", self.organization, "--wallet", "wallet")
        made = self(
            *("node", "keys", "create", "--directory", "node", "--organization", self.organization),
            *("--organization-name", f"The {self.organization} institute", "--address", self.address),
            *("--account", self.organization, "--wallet", "wallet"),
        )
        assert made["member"] == str((self.directory / "node" / "member.toml").resolve())

    def mail(self, source: Path, others: list[Member], name: str) -> None:
        """Send a public file to every member, oneself included."""
        for other in others:
            shutil.copy(source, other.received / name)

    def descriptors(self) -> list[str]:
        return [str(path.relative_to(self.directory)) for path in sorted(self.received.glob("*.toml"))]

    def start(self) -> None:
        """Start the node in the foreground, as a supervisor does, and learn where its API is."""
        with (self.directory / "log").open("a") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "guildmark.cli.main", "node", "start", "--data-dir", "node"],
                cwd=self.directory,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, (self.directory / "log").read_text()
        self.url = json.loads(line)["api"]

    def wait_ready(self) -> None:
        deadline = time.monotonic() + 60
        while not probe.is_ready(self.url):
            assert time.monotonic() < deadline, probe.why_not_ready(self.url)
            time.sleep(0.05)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                assert self._process.wait(20) == 0, (self.directory / "log").read_text()
            finally:
                self._process.kill()
                self._process.communicate()
                self._process = None

    def secrets(self) -> list[bytes]:
        """What must never be found elsewhere: texts of the private keys, and of the sealed ones too."""
        keys = self.directory / "node" / "keys"
        pem = (keys / "tls.key").read_text().splitlines()
        assert "PRIVATE KEY" in pem[0]
        sealed = json.loads((self.directory / "wallet" / f"{self.organization}.key.json").read_text())
        found = [pem[1], json.loads((keys / "signing.key").read_text())["secret"], sealed["ciphertext"]]
        assert all(len(text) >= SECRET_LENGTH_MIN for text in found)
        return [text.encode() for text in found]


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Member]]:
    """Four members who have exchanged descriptors and put the verified genesis into their nodes' directories."""
    directory = tmp_path_factory.mktemp("ceremony")
    ports = choose_ports(len(ORGANIZATIONS))
    made = [Member(directory, name, port) for name, port in zip(ORGANIZATIONS, ports, strict=True)]
    for member in made:
        member.prepare()
        member.mail(member.directory / "node" / "member.toml", made, f"{member.organization}.toml")
    first = made[0]
    (first.directory / "parameters.toml").write_text("commitment_age_ms = 1\nwindow = 16\n")
    assembled = first(
        *("network", "assemble", *first.descriptors(), "--name", "consortium", "--parameters", "parameters.toml"),
        *("--credits", "alder=1000", "--credits", "cedar=70", "--output", "genesis.json"),
    )
    first.mail(first.directory / "genesis.json", made, "genesis.json")
    for member in made:
        verified = member("network", "verify", "received/genesis.json", *member.descriptors())
        assert verified["network_id"] == assembled["network_id"]
        shutil.copy(member.received / "genesis.json", member.directory / "node" / "genesis.json")
        member("key", "assign", member.organization, "--genesis", "received/genesis.json", "--wallet", "wallet")
    try:
        yield made
    finally:
        for member in made:
            member.stop()


def test_a_network_founded_by_its_members_commits_and_proves_it(members: list[Member]) -> None:
    """Keys made apart, a genesis from public files: a transfer commits, and every certificate verifies."""
    for member in members:
        member.start()
    for member in members:
        member.wait_ready()
    alder, birch = members[0], members[1]
    account = birch.acting("account", "show")["account"]
    alder.acting("account", "pay", account, "250")
    assert [_balance(member, account) for member in members] == [250] * 4

    (alder.directory / "song.txt").write_text("la la la")
    asset = alder.acting("asset", "register", "song.txt", "--kind", "artwork", "--name", "song", "--wait-held")["asset"]
    exported = birch("certificate", "export", asset, "-o", "song.gmcert", "--node", birch.url)
    birch("certificate", "verify", "song.gmcert", "--genesis", "received/genesis.json")

    genesis = genesis_files.load(birch.received / "genesis.json")
    keys = [key_from_text(validator.signing_key) for validator in genesis.validators]
    for height in range(1, exported["height"] + 1):
        said = probe.get_json(birch.url, f"/v1/blocks/{height}/certificate")
        if said is None:
            continue  # a later certificate covers it
        signatures = tuple((index, bytes.fromhex(text)) for index, text in said["signatures"])
        certificate = FinalityCertificate(
            said["epoch"], said["height"], bytes.fromhex(said["block_hash"]), said["epoch_end"], signatures
        )
        assert verify_certificate(genesis_files.network_id(genesis), keys, certificate) is None
    assert probe.get_json(birch.url, f"/v1/blocks/{exported['height']}/certificate") is not None


def test_a_fifth_member_joins_by_the_same_means(members: list[Member]) -> None:
    """A descriptor, a vote of the organizations, a node that follows until it is ready: then five decide."""
    first = members[0]
    elm = Member(first.directory.parent, "elm", choose_ports(1)[0])
    elm.prepare()
    for member in members:
        shutil.copy(elm.directory / "node" / "member.toml", member.directory / "elm.toml")
    for member in members:
        shutil.copy(member.received / f"{member.organization}.toml", elm.received)
    first.mail(first.received / "genesis.json", [elm], "genesis.json")
    assert elm("network", "verify", "received/genesis.json", *elm.descriptors())["validators"]
    shutil.copy(elm.received / "genesis.json", elm.directory / "node" / "genesis.json")
    (elm.directory / "node" / "node.toml").write_text(f'[p2p]\nlisten = "{elm.address}"\n')

    proposal = first.acting("governance", "propose", "add", "elm.toml")["proposal"]
    for member in members[:3]:  # more than two thirds of all four organizations
        member.acting("governance", "vote", proposal, "--approve")
    assert first("governance", "show", proposal, "--node", first.url)["state"] == "approved"
    try:
        elm.start()
        said = _consensus(elm, lambda said: said["epoch"] == 1 and said["voting"])
        assert said["needed"] == 4
        assert [member["organization"] for member in said["members"]] == [*ORGANIZATIONS, "elm"]
        listed = first("validators", "list", "--node", first.url)["validators"]
        assert [entry["organization"] for entry in listed] == [*ORGANIZATIONS, "elm"]
        account = members[1].acting("account", "show")["account"]
        first.acting("account", "pay", account, "1")

        members[3].stop()  # four of five go on, and the fifth is one of them
        first.acting("account", "pay", account, "1")
        height = probe.get_json(elm.url, "/v1/status")["certified_height"]  # type: ignore[index]
        certificate = probe.get_json(elm.url, f"/v1/blocks/{height}/certificate")
        assert certificate is not None
        assert (certificate["epoch"], [index for index, _ in certificate["signatures"]]) == (1, [0, 1, 2, 4])
        members[3].start()

        asset = first("asset", "list", "--node", first.url)[0]["asset"]
        elm("certificate", "export", asset, "-o", "song.gmcert", "--node", elm.url)
        elm("certificate", "verify", "song.gmcert", "--genesis", "received/genesis.json")
        assert_keys_stayed([*members, elm])
    finally:
        elm.stop()


def _consensus(member: Member, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """What the member's node says of consensus, once that holds."""
    deadline = time.monotonic() + 60
    while True:
        said = probe.get_json(member.url, "/v1/consensus")
        if said is not None and holds(said):
            return said
        assert time.monotonic() < deadline, said
        time.sleep(0.1)


def _balance(member: Member, account: str) -> int:
    """The balance at the member's own node, as soon as that has it."""
    deadline = time.monotonic() + 30
    while True:
        said = member("account", "show", account, "--node", member.url, "--wallet", "wallet")
        if said["balance"] or time.monotonic() > deadline:
            return int(said["balance"])


def test_no_private_key_has_left_its_members_directory(members: list[Member]) -> None:
    assert_keys_stayed(members)


def assert_keys_stayed(members: list[Member]) -> None:
    files = {
        member.organization: [path.read_bytes() for path in member.directory.rglob("*") if path.is_file()]
        for member in members
    }
    for member in members:
        for secret in member.secrets():
            found = {name for name, contents in files.items() if any(secret in data for data in contents)}
            assert found == {member.organization}


def test_a_member_refuses_a_genesis_that_is_not_what_all_described(members: list[Member], tmp_path: Path) -> None:
    """The assembler changes something after the fact; whoever verifies says what, and ends with 7."""
    victim = members[2]
    genesis = json.loads((victim.received / "genesis.json").read_text())
    other = json.loads(json.dumps(genesis))
    other["validators"][1]["address"] = "127.0.0.1:1"
    other["accounts"][0]["key"], other["accounts"][1]["key"] = (
        other["accounts"][1]["key"],
        other["accounts"][0]["key"],
    )
    (tmp_path / "genesis.json").write_text(json.dumps(other))
    said = victim("network", "verify", str(tmp_path / "genesis.json"), *victim.descriptors(), ends_with=7)
    assert said["error"]["code"] == "network.differs"
    assert "of birch" in said["error"]["message"]
    assert "127.0.0.1:1" in said["error"]["message"]
    said = victim("network", "verify", "received/genesis.json", *victim.descriptors()[1:], ends_with=7)
    assert "a validator of alder" in said["error"]["message"]

    changed = tmp_path / "alder.toml"
    text = (victim.received / "alder.toml").read_text()
    changed.write_text(text.replace(members[0].address, "127.0.0.1:2"))
    named = [*victim.descriptors()[1:], str(changed)]
    said = victim("network", "verify", "received/genesis.json", *named, ends_with=7)
    assert said["error"]["code"] == "descriptor.signature"
    assert str(changed) in said["error"]["message"]


def test_keys_are_never_overwritten_and_a_genesis_neither(members: list[Member]) -> None:
    member = members[3]
    terms = ("--directory", "node", "--organization", "dogwood", "--address", member.address)
    before = (member.directory / "node" / "keys" / "signing.key").read_bytes()
    said = member("node", "keys", "create", *terms, ends_with=1)
    assert "never overwritten" in said["error"]["message"]
    assert (member.directory / "node" / "keys" / "signing.key").read_bytes() == before
    member("network", "assemble", *member.descriptors(), "--name", "other", "--output", "mine.json")
    said = member("network", "assemble", *member.descriptors(), "--name", "x", "--output", "mine.json", ends_with=1)
    assert said["error"]["code"] == "genesis.exists"
