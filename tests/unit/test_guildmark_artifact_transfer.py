"""Artifacts on their way: parents first up, nothing believed on the way down, requests signed for one artifact."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from guildmark_kit import Answer, Asked, FakeNode, fake_node, make_genesis, problem

from artifacts import cid as cids
from artifacts.chunk_store import ChunkStore
from artifacts.holdings import Holding
from guildmark.artifact_transfer import LocalArtifact, authorization
from guildmark.errors import Denied, NotFound, Refused, VerificationFailed
from guildmark.identity import Account
from guildmark.partial_download import PartialDownload
from guildmark.sync import Client
from node.http.authorization import verify_signed_read
from node.http.problems import Problem
from primitives.keys import SigningKey

MIB = 1 << 20


class Shelf:
    """Keeps blocks as a node does: only those that a held part links to."""

    def __init__(self, node: FakeNode, artifact: LocalArtifact, directory: Path, *, full: bool = False) -> None:
        self.artifact = artifact
        self.store = ChunkStore(directory)
        if full:
            for cid in artifact.store.iterate():
                self.store.put(cid, artifact.store.get(cid))
        self.holding = Holding(artifact.cid, artifact.size_bytes, self.store)
        self.order: list[str] = []
        self.refusals: list[Answer] = []
        node.routes[("PUT", f"/v1/artifacts/{artifact.cid}/blocks/")] = self.put
        node.routes[("GET", f"/v1/artifacts/{artifact.cid}/blocks/")] = self.get
        node.routes[("GET", f"/v1/artifacts/{artifact.cid}/missing")] = self.missing

    def put(self, asked: Asked) -> Answer:
        if self.refusals:
            return self.refusals.pop(0)
        cid = asked.path.rsplit("/", 1)[1]
        if self.holding.holds(cid):
            return 200, {"new": False, "complete": self.holding.complete}
        if not self.holding.accepts(cid):
            return problem(409, "manifest.not_linked")
        self.holding.check(cid, asked.body)
        self.store.put(cid, asked.body)
        self.holding.add(cid, asked.body)
        self.order.append(cid)
        return 201, {"new": True, "complete": self.holding.complete}

    def missing(self, _: Asked) -> Answer:
        holding = self.holding
        told = {"complete": holding.complete, "blocks_held": holding.blocks_held, "missing": holding.missing()}
        return 200, told

    def get(self, asked: Asked) -> Answer:
        cid = asked.path.rsplit("/", 1)[1]
        return (200, self.store.get(cid)) if self.store.has(cid) else problem(404, "chunk.missing")


@pytest.fixture
def node() -> Iterator[FakeNode]:
    with fake_node(make_genesis()[0]) as made:
        yield made


@pytest.fixture
def account(node: FakeNode) -> Account:
    return Account.first_of(node.network_id, "alder", SigningKey(bytes([1]) * 32), bytes(16))


@pytest.fixture
def client(node: FakeNode, account: Account) -> Iterator[Client]:
    with Client(node.url, account, retry_timeout_s=0.3) as made:
        yield made


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "model.bin"
    path.write_bytes(os.urandom(3 * MIB + 17))
    return path


@pytest.fixture
def artifact(source: Path) -> Iterator[LocalArtifact]:
    with LocalArtifact(source) as made:
        yield made


def test_blocks_go_up_parents_first_with_progress(
    node: FakeNode, client: Client, artifact: LocalArtifact, tmp_path: Path
) -> None:
    shelf = Shelf(node, artifact, tmp_path / "shelf")
    seen: list[tuple[int, int]] = []
    client.artifacts.upload(artifact, lambda done, total: seen.append((done, total)))
    assert shelf.holding.complete
    assert shelf.order[0] == artifact.cid
    assert seen[-1] == (artifact.store.size_bytes, artifact.store.size_bytes)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_an_upload_waits_for_a_node_that_has_not_seen_the_registration(
    node: FakeNode, client: Client, artifact: LocalArtifact, tmp_path: Path
) -> None:
    shelf = Shelf(node, artifact, tmp_path / "shelf")
    shelf.refusals = [problem(409, "artifact.not_registered")] * 2
    client.artifacts.upload(artifact)
    assert shelf.holding.complete


def test_an_upload_begins_again_at_the_root_where_the_node_lacks_the_parents(
    node: FakeNode, client: Client, artifact: LocalArtifact, tmp_path: Path
) -> None:
    shelf = Shelf(node, artifact, tmp_path / "shelf")
    shelf.refusals = [problem(409, "manifest.not_linked")]
    client.artifacts.upload(artifact)
    assert shelf.holding.complete


def test_a_refused_upload_says_why(node: FakeNode, client: Client, artifact: LocalArtifact, tmp_path: Path) -> None:
    Shelf(node, artifact, tmp_path / "shelf").refusals = [problem(413, "chunk.too_large")]
    with pytest.raises(Refused) as caught:
        client.artifacts.upload(artifact)
    assert caught.value.code == "chunk.too_large"


def test_the_temporary_blocks_are_removed(source: Path) -> None:
    with LocalArtifact(source) as artifact:
        directory = Path(artifact._directory)
        assert directory.is_dir()
    assert not directory.exists()


def test_a_download_is_the_uploaded_file(
    node: FakeNode, client: Client, artifact: LocalArtifact, source: Path, tmp_path: Path
) -> None:
    Shelf(node, artifact, tmp_path / "shelf", full=True)
    seen: list[tuple[int, int]] = []
    path = client.artifacts.download(
        artifact.cid, artifact.size_bytes, tmp_path / "out" / "copy", progress=lambda *at: seen.append(at)
    )
    assert path.read_bytes() == source.read_bytes()
    assert seen[-1] == (artifact.size_bytes, artifact.size_bytes)
    assert [entry.name for entry in path.parent.iterdir()] == ["copy"]


def test_a_directory_comes_back_as_it_was(node: FakeNode, client: Client, tmp_path: Path) -> None:
    (tmp_path / "data" / "inner").mkdir(parents=True)
    (tmp_path / "data" / "a.txt").write_text("a")
    (tmp_path / "data" / "inner" / "empty").write_text("")
    with LocalArtifact(tmp_path / "data") as artifact:
        Shelf(node, artifact, tmp_path / "shelf", full=True)
        path = client.artifacts.download(artifact.cid, artifact.size_bytes, tmp_path / "copy")
    assert sorted(str(p.relative_to(path)) for p in path.rglob("*")) == ["a.txt", "inner", "inner/empty"]


@pytest.mark.parametrize("wrong", [b"", b"something else", bytes(3 * MIB)])
def test_bytes_that_are_not_the_block_are_refused_and_leave_nothing(
    node: FakeNode, client: Client, artifact: LocalArtifact, tmp_path: Path, wrong: bytes
) -> None:
    """M2: a node that lies about a block is found out by the block's name."""
    node.routes[("GET", f"/v1/artifacts/{artifact.cid}/blocks/")] = lambda _: (200, wrong)
    with pytest.raises(VerificationFailed):
        client.artifacts.download(artifact.cid, artifact.size_bytes, tmp_path / "out" / "copy")
    assert list((tmp_path / "out").iterdir()) == []


def test_an_honest_node_makes_up_for_a_lying_one(
    node: FakeNode, account: Account, artifact: LocalArtifact, source: Path, tmp_path: Path
) -> None:
    Shelf(node, artifact, tmp_path / "shelf", full=True)
    with fake_node(node.genesis) as liar, Client([liar.url, node.url], account) as client:
        liar.routes[("GET", f"/v1/artifacts/{artifact.cid}/blocks/")] = lambda _: (200, b"lie")
        path = client.artifacts.download(artifact.cid, artifact.size_bytes, tmp_path / "copy")
    assert path.read_bytes() == source.read_bytes()


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_node_that_lags_behind_does_not_end_a_download(
    node: FakeNode, account: Account, artifact: LocalArtifact, source: Path, tmp_path: Path, status: int
) -> None:
    Shelf(node, artifact, tmp_path / "shelf", full=True)
    with fake_node(node.genesis) as behind, Client([behind.url, node.url], account) as client:
        behind.routes[("GET", f"/v1/artifacts/{artifact.cid}/blocks/")] = lambda _: problem(status, "no_grant")
        path = client.artifacts.download(artifact.cid, artifact.size_bytes, tmp_path / "copy")
    assert path.read_bytes() == source.read_bytes()


@pytest.mark.parametrize(("status", "expected"), [(401, Denied), (403, Denied), (404, NotFound)])
def test_what_all_nodes_deny_is_denied_with_the_code(
    node: FakeNode, client: Client, artifact: LocalArtifact, tmp_path: Path, status: int, expected: type[Exception]
) -> None:
    node.routes[("GET", f"/v1/artifacts/{artifact.cid}/blocks/")] = lambda _: problem(status, "the.code")
    with pytest.raises(expected, match=r"the\.code"):
        client.artifacts.download(artifact.cid, artifact.size_bytes, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_a_refusal_says_more_than_a_node_that_has_not_heard_of_it(
    node: FakeNode, account: Account, artifact: LocalArtifact
) -> None:
    """Whichever of the two is asked first."""
    route = ("GET", f"/v1/artifacts/{artifact.cid}/blocks/")
    with fake_node(make_genesis()[0]) as behind:
        node.routes[route] = lambda _: problem(403, "no_grant")
        behind.routes[route] = lambda _: problem(404, "artifact.not_registered")
        for urls in ([node.url, behind.url], [behind.url, node.url]):
            with Client(urls, account, retry_timeout_s=0.3) as client, pytest.raises(Denied) as denied:
                client.artifacts.fetch_block(artifact.cid, artifact.cid)
            assert denied.value.code == "no_grant"


def test_waiting_until_it_is_held_outlasts_a_node_that_is_behind(
    node: FakeNode, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Answer] = [problem(404, "artifact.not_registered"), (200, {"held_quorum": False})]
    node.routes[("GET", "/v1/artifacts/cid")] = lambda _: told.pop(0) if told else (200, {"held_quorum": True})
    assert client.artifacts.wait_held("cid")["held_quorum"]
    monkeypatch.setattr("guildmark.artifact_transfer.REGISTRATION_WAIT_S", 0.0)
    node.routes[("GET", "/v1/artifacts/cid")] = lambda _: problem(404, "artifact.not_registered")
    with pytest.raises(NotFound, match="not_registered"):
        client.artifacts.wait_held("cid")


def test_a_wrong_registered_size_is_found(
    node: FakeNode, client: Client, artifact: LocalArtifact, tmp_path: Path
) -> None:
    Shelf(node, artifact, tmp_path / "shelf", full=True)
    with pytest.raises(VerificationFailed):
        client.artifacts.download(artifact.cid, artifact.size_bytes + 1, tmp_path / "copy")


def test_an_existing_file_is_kept_unless_told(
    node: FakeNode, client: Client, artifact: LocalArtifact, source: Path, tmp_path: Path
) -> None:
    Shelf(node, artifact, tmp_path / "shelf", full=True)
    (tmp_path / "copy").write_text("mine")
    with pytest.raises(Refused) as caught:
        client.artifacts.download(artifact.cid, artifact.size_bytes, tmp_path / "copy")
    assert caught.value.code == "download.exists"
    assert (tmp_path / "copy").read_text() == "mine"
    client.artifacts.download(artifact.cid, artifact.size_bytes, tmp_path / "copy", overwrite=True)
    assert (tmp_path / "copy").read_bytes() == source.read_bytes()


def test_requests_are_signed_as_nodes_verify_them(
    node: FakeNode, client: Client, account: Account, artifact: LocalArtifact, tmp_path: Path
) -> None:
    shelf = Shelf(node, artifact, tmp_path / "shelf", full=True)
    client.artifacts.fetch_block(artifact.cid, artifact.cid)
    header = node.calls("GET", f"/v1/artifacts/{artifact.cid}/blocks/")[0].headers["Authorization"]
    facts: dict[str, Any] = {"network_id": node.network_id, "network_time_ms": time.time_ns() // 1_000_000}
    read = verify_signed_read(header, root=artifact.cid, method="GET", **facts)
    assert (read.account, read.key) == (account.text, account.key_text)
    for change in ({"root": cids.raw_cid(b"other")}, {"method": "PUT"}, {"network_id": bytes(32)}):
        with pytest.raises(Problem):
            verify_signed_read(header, **{"root": artifact.cid, "method": "GET", **facts, **change})
    assert shelf.holding.complete


def test_a_stranger_sends_no_signature(node: FakeNode, client: Client, artifact: LocalArtifact, tmp_path: Path) -> None:
    Shelf(node, artifact, tmp_path / "shelf", full=True)
    client.artifacts.fetch_block(artifact.cid, artifact.cid, signed=False)
    with client.acting_as(None) as stranger:
        stranger.artifacts.fetch_block(artifact.cid, artifact.cid)
    assert all("Authorization" not in asked.headers for asked in node.calls("GET", "/v1/artifacts/"))


def test_a_signature_is_over_exactly_the_stated_bytes(account: Account) -> None:
    header = authorization(account, bytes(32), cids.raw_cid(b"x"), "GET", 1_234)
    read = verify_signed_read(
        header, network_id=bytes(32), root=cids.raw_cid(b"x"), method="GET", network_time_ms=1_000
    )
    assert read.account == account.text


def test_a_symbolic_link_is_no_artifact(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "link").symlink_to("/etc/passwd")
    with pytest.raises(Refused):
        LocalArtifact(tmp_path / "data")


def interrupted(node: FakeNode, method: str, artifact: LocalArtifact, after: int) -> None:
    """Let the node refuse for good, after so many more blocks."""
    key = (method, f"/v1/artifacts/{artifact.cid}/blocks/")
    honest, left = node.routes[key], [after]

    def some(asked: Asked) -> Answer:
        left[0] -= 1
        return honest(asked) if left[0] >= 0 else problem(413, "test.interrupted")

    node.routes[key] = some


def test_an_interrupted_upload_goes_on_where_it_was(
    node: FakeNode, client: Client, artifact: LocalArtifact, tmp_path: Path
) -> None:
    """M2: the node says what it lacks; nothing goes up twice, and the bar begins at what is there."""
    shelf = Shelf(node, artifact, tmp_path / "shelf")
    honest = node.routes[("PUT", f"/v1/artifacts/{artifact.cid}/blocks/")]
    interrupted(node, "PUT", artifact, 3)
    with pytest.raises(Refused, match=r"test\.interrupted"):
        client.artifacts.upload(artifact)
    kept = list(shelf.order)
    assert len(kept) == 3
    node.routes[("PUT", f"/v1/artifacts/{artifact.cid}/blocks/")] = honest
    node.asked.clear()
    seen: list[tuple[int, int]] = []
    client.artifacts.upload(artifact, lambda done, total: seen.append((done, total)))
    assert shelf.holding.complete
    sent = [asked.path.rsplit("/", 1)[1] for asked in node.calls("PUT", "/v1/artifacts/")]
    assert not set(sent) & set(kept)
    assert len(sent) == len(set(sent)) == 5 - len(kept)
    assert seen[0][0] > 0
    assert seen[-1] == (artifact.store.size_bytes, artifact.store.size_bytes)


@pytest.mark.parametrize(("status", "code"), [(401, "artifact.unsigned"), (404, "request.no_such_resource")])
def test_a_node_that_does_not_tell_what_it_lacks_gets_all(
    node: FakeNode, client: Client, artifact: LocalArtifact, tmp_path: Path, status: int, code: str
) -> None:
    shelf = Shelf(node, artifact, tmp_path / "shelf")
    node.routes[("GET", f"/v1/artifacts/{artifact.cid}/missing")] = lambda _: problem(status, code)
    client.artifacts.upload(artifact)
    assert shelf.holding.complete


def test_an_interrupted_download_goes_on_at_another_node(
    node: FakeNode, account: Account, artifact: LocalArtifact, source: Path, tmp_path: Path
) -> None:
    """M2: no block is fetched twice; a block that changed on disk meanwhile is."""
    Shelf(node, artifact, tmp_path / "shelf", full=True)
    interrupted(node, "GET", artifact, 3)
    copy = tmp_path / "out" / "copy"
    with Client(node.url, account) as client, pytest.raises(Refused, match=r"test\.interrupted"):
        client.artifacts.download(artifact.cid, artifact.size_bytes, copy)
    assert not copy.exists()
    (part,) = (tmp_path / "out").iterdir()
    blocks = [path for path in (part / "store" / "blocks").rglob("*") if path.is_file()]
    assert len(blocks) == 3
    rotten = next(path for path in blocks if path.name != artifact.cid)
    rotten.write_bytes(b"!" + rotten.read_bytes()[1:])
    with fake_node(node.genesis) as other, Client(other.url, account) as client:
        Shelf(other, artifact, tmp_path / "shelf-2", full=True)
        seen: list[tuple[int, int]] = []
        client.artifacts.download(artifact.cid, artifact.size_bytes, copy, progress=lambda *at: seen.append(at))
        asked = [each.path.rsplit("/", 1)[1] for each in other.calls("GET", f"/v1/artifacts/{artifact.cid}/blocks/")]
    assert copy.read_bytes() == source.read_bytes()
    assert sorted(asked) == sorted(set(artifact.store.iterate()) - {b.name for b in blocks if b != rotten})
    assert seen[0][0] > 0
    assert [entry.name for entry in copy.parent.iterdir()] == ["copy"]


def test_a_download_asks_all_nodes_at_once(
    node: FakeNode, account: Account, artifact: LocalArtifact, source: Path, tmp_path: Path
) -> None:
    Shelf(node, artifact, tmp_path / "shelf", full=True)
    with fake_node(node.genesis) as other, Client([node.url, other.url], account) as client:
        Shelf(other, artifact, tmp_path / "shelf-2", full=True)
        path = client.artifacts.download(artifact.cid, artifact.size_bytes, tmp_path / "copy")
        counts = [len(each.calls("GET", f"/v1/artifacts/{artifact.cid}/blocks/")) for each in (node, other)]
    assert path.read_bytes() == source.read_bytes()
    assert sum(counts) == 5
    assert min(counts) >= 2


def test_two_downloads_to_one_place_do_not_mix(
    node: FakeNode, client: Client, artifact: LocalArtifact, tmp_path: Path
) -> None:
    Shelf(node, artifact, tmp_path / "shelf", full=True)
    with PartialDownload(tmp_path / "copy", artifact.cid, artifact.size_bytes):
        with pytest.raises(Refused) as caught:
            client.artifacts.download(artifact.cid, artifact.size_bytes, tmp_path / "copy")
        assert caught.value.code == "download.under_way"
    assert client.artifacts.download(artifact.cid, artifact.size_bytes, tmp_path / "copy").exists()
