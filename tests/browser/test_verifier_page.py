"""The static page of the examples, opened from the disk in headless Chromium: its verdicts are the library's."""

from __future__ import annotations

import base64
import hashlib
import json
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ledger.certificates.format import MAGIC
from ledger.certificates.verification import verify
from ledger.errors import InvalidProof
from primitives.keys import SigningKey
from primitives.keys import verify as verify_signature
from tests.browser.devtools import Page, browser
from tests.unit.nested_kit import places, replaced
from tests.unit.signature_vectors import VECTORS as SPECCHECK

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "examples" / "verifier.html"
VECTORS = ROOT / "docs" / "spec" / "vectors" / "certificates"
INDEX = json.loads((VECTORS / "index.json").read_text())
GENESIS = INDEX["genesis_hash"]
CHANGES = 12
"""Changed files of each good one."""
VENDORED = {
    "noble-hashes-1.8.0-sha256.js": "0e452ef4e252ecd644d8e6401f58063bdb0aa7430d13d0350bc75c8e2c9456b4",
    "noble-hashes-LICENSE": "4f221aee6e072336700c408c68ab3b96a3fc09f6aebe6f48f1bd99e5ef13faec",
    "tweetnacl-1.0.3.js": "6bcd37a3b20dce913f82d4b23e4e2b661058b4b953df8a3f8c45d56ac4f72447",
    "tweetnacl-LICENSE": "88d9b4eb60579c191ec391ca04c16130572d7eedc4a86daa58bf28c6e14c9bcd",
}
UNPACK = "Uint8Array.from(atob(text), (c) => c.charCodeAt(0))"

pytestmark = pytest.mark.xdist_group("browser")


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with browser() as opened:
        opened.open(PAGE)
        yield opened
        assert opened.complaints == []
        assert {url.partition(":")[0] for url in opened.requested} == {"file"}, "the page asked the network"


def load(name: str) -> bytes:
    return (VECTORS / f"{name}.gmcert").read_bytes()


def trust_of(name: str) -> str:
    return str(INDEX["good"].get(name, {}).get("trust", ""))


def verdicts(page: Page, files: list[bytes], trust: str = "", genesis: str = GENESIS) -> list[dict[str, Any]]:
    """Check files in the page, many in one call."""
    texts = json.dumps([base64.b64encode(data).decode() for data in files])
    asked = f"{texts}.map((text) => Guildmark.check({UNPACK}, {json.dumps(genesis)}, {json.dumps(trust)}))"
    answer: list[dict[str, Any]] = json.loads(page.run(f"JSON.stringify({asked})"))
    return answer


def holds_here(data: bytes, trust: str = "") -> bool:
    height, _, hashed = trust.partition(":")
    try:
        verify(data, bytes.fromhex(GENESIS), (int(height), bytes.fromhex(hashed)) if trust else None)
    except InvalidProof:
        return False
    return True


def test_what_others_wrote_is_what_they_published() -> None:
    folder = PAGE.with_name("verifier") / "vendor"
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    assert {name: digest for name, digest in found.items() if name != "README.md"} == VENDORED


@pytest.mark.parametrize("name", sorted(INDEX["good"]))
def test_the_page_proves_every_good_vector_and_says_what(page: Page, name: str) -> None:
    data, trust = load(name), trust_of(name)
    (verdict,) = verdicts(page, [data], trust)
    assert verdict.get("reason") is None
    height, _, hashed = trust.partition(":")
    here = verify(data, bytes.fromhex(GENESIS), (int(height), bytes.fromhex(hashed)) if trust else None)
    assert verdict["kind"] == here.proves
    rests = dict(verdict["rests"])
    assert (rests["Height"], rests["Block"]) == (str(here.height), here.block_hash)
    told = json.dumps(verdict, ensure_ascii=False)
    for field in ("asset", "cid", "licensee", "grant", "offer", "account", "terms", "id"):
        assert str(getattr(here, field, "")) in told
    for owner in getattr(here, "owners", ()):
        assert owner.account in told


def test_the_network_id_may_be_written_in_groups(page: Page) -> None:
    (verdict,) = verdicts(page, [load("absent-artifact")], genesis=f" {GENESIS[:32]} {GENESIS[32:]}")
    assert verdict["holds"] is True


@pytest.mark.parametrize("name", sorted(INDEX["bad"]))
def test_the_page_proves_no_bad_vector(page: Page, name: str) -> None:
    """P1, P2, P3: and says why."""
    (verdict,) = verdicts(page, [load(name)])
    assert verdict["holds"] is False
    assert verdict["reason"]


@pytest.mark.parametrize("name", sorted(INDEX["good"]))
def test_changed_files_of_every_kind_are_refused(page: Page, name: str) -> None:
    """P1: flipped, cut, doubled and inserted bytes."""
    data, chance = load(name), random.Random(name)
    wrong = []
    for _ in range(CHANGES):
        at = chance.randrange(len(data))
        wrong += [
            data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :],
            data[:at] + data[at + 1 :],
            data[:at] + b"\x00" + data[at:],
            data[:at],
        ]
    told = [verdict["holds"] for verdict in verdicts(page, wrong, trust_of(name))]
    assert told == [holds_here(changed, trust_of(name)) for changed in wrong] == [False] * len(wrong)


@pytest.mark.parametrize("name", ["absent-artifact"])
def test_no_value_of_another_type_is_taken_for_what_belongs_there(page: Page, name: str) -> None:
    """P1: well-formed MessagePack with something strange at every place."""
    opened = msgspec.msgpack.decode(load(name)[len(MAGIC) :])
    wrong = []
    for at in places(opened):
        for strange in (None, True, 0, 1, 2**64 - 1, "", b"", b"\x00" * 32, [], {}):
            changed = MAGIC + msgspec.msgpack.encode(replaced(opened, at, strange))
            if changed != load(name):
                wrong.append(changed)
    assert [verdict["holds"] for verdict in verdicts(page, wrong)] == [False] * len(wrong)


def test_another_network_or_an_unknown_block_is_refused(page: Page) -> None:
    """P3."""
    assert not verdicts(page, [load("asset")], genesis="00" * 32)[0]["holds"]
    assert not verdicts(page, [load("asset")], genesis="xyz")[0]["holds"]
    assert not verdicts(page, [load("asset-since")])[0]["holds"]
    for trust in ("1:" + "00" * 32, "x", "1:", "0:" + GENESIS):
        assert not verdicts(page, [load("asset-since")], trust)[0]["holds"]
        assert not verdicts(page, [load("asset")], trust)[0]["holds"]


def signature_verdicts(page: Page, cases: list[tuple[bytes, bytes, bytes]]) -> list[bool]:
    texts = json.dumps([[base64.b64encode(part).decode() for part in case] for case in cases])
    asked = f"{texts}.map((parts) => Guildmark.verifySignature(...parts.map((text) => {UNPACK})))"
    answer: list[bool] = page.run(asked)
    return answer


def test_signatures_have_libsodiums_verdict(page: Page) -> None:
    """A8: small orders, other spellings, S above the order, the cofactor: one verdict everywhere."""
    cases = [
        (bytes.fromhex(key), bytes.fromhex(message), bytes.fromhex(r + s)) for message, key, r, s, _, _ in SPECCHECK
    ]
    order = 2**252 + 27742317777372353535851937790883648493
    for seed in range(8):
        key = SigningKey(hashlib.sha256(b"key %d" % seed).digest())
        message = b"message %d" % seed * seed
        signature = key.sign(message)
        s = int.from_bytes(signature[32:], "little")
        cases += [
            (key.public_key, message, signature),
            (key.public_key, message + b"x", signature),
            (key.public_key, message, signature[:32] + (s + order).to_bytes(32, "little")),
            (key.public_key, message, signature[:31] + bytes([signature[31] ^ 0x80]) + signature[32:]),
            (bytes([*key.public_key[:31], key.public_key[31] ^ 0x80]), message, signature),
            (key.public_key, message, signature[:63]),
        ]
    small = [
        bytes(32),
        b"\x01" + bytes(31),
        *(bytes.fromhex(text) for text in ("ec" + "ff" * 30 + "7f", "ee" + "ff" * 31)),
    ]
    for point in small:
        cases += [(point, b"m", other + bytes(32)) for other in small]
    here = [verify_signature(key, message, signature) for key, message, signature in cases]
    assert signature_verdicts(page, cases) == here
    assert here.count(True) == 9


def shown(page: Page) -> tuple[str, str]:
    return page.run("document.getElementById('verdict').className.replace('card ', '')"), page.run("document.title")


def wait_for(page: Page, wanted: str) -> None:
    deadline = time.monotonic() + 30
    while shown(page)[0] != wanted:
        assert time.monotonic() < deadline, shown(page)
        page.run("new Promise((done) => setTimeout(done, 10))")


def test_a_person_chooses_a_file_and_sees_the_verdict(tmp_path: Path) -> None:
    """With the hands of a user: the hash typed, a file chosen, then another one, then a file dropped."""
    typed = (
        "const box = document.getElementById({name!r}); box.value = {value!r}; box.dispatchEvent(new Event('input'))"
    )
    with browser() as page:
        page.open(PAGE)
        assert page.run("document.getElementById('verdict').hidden")
        page.choose_file("#file", VECTORS / "asset.gmcert")
        page.run("{ " + typed.format(name="genesis", value=GENESIS) + " }")
        wait_for(page, "holds")
        assert "belongs to gm1" in page.run("document.getElementById('headline').textContent")
        page.screenshot(tmp_path / "holds.png")
        page.choose_file("#file", VECTORS / "flipped-bit.gmcert")
        wait_for(page, "fails")
        assert page.run("document.getElementById('ground').hidden")
        page.screenshot(tmp_path / "fails.png")
        text = base64.b64encode(load("absent-artifact")).decode()
        page.run(
            f"{{ const text = {text!r}; const dropped = new DataTransfer();"
            f" dropped.items.add(new File([{UNPACK}], 'absent.gmcert'));"
            " document.dispatchEvent(new DragEvent('drop', { dataTransfer: dropped, cancelable: true })); }"
        )
        wait_for(page, "holds")
        assert "has this artifact" in page.run("document.getElementById('headline').textContent")
        page.choose_file("#file", VECTORS / "asset-since.gmcert")
        wait_for(page, "fails")
        page.run("{ " + typed.format(name="trust", value=trust_of("asset-since")) + " }")
        wait_for(page, "holds")
        assert {url.partition(":")[0] for url in page.requested} == {"file"}
        assert page.complaints == []
