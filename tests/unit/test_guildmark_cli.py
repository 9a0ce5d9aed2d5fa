"""The command line: results on standard output, the rest on standard error, and the documented exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import rich_click as click
from guildmark_kit import FakeNode, Ledgerless, fake_node, make_genesis, problem, run, surround

from artifacts.cid import raw_cid
from guildmark.cli import main, output
from guildmark.cli.alias import read_alias
from guildmark.cli.contribution import read_condition
from guildmark.cli.evidence import read_evidence
from guildmark.cli.model_evaluation import samples_progress
from guildmark.demo import story
from guildmark.errors import ClusterError
from guildmark.identity import Account
from guildmark.wallet import Wallet
from ledger import member_descriptor
from ledger.modules.fields import Alias
from p2p.identity import make_identity
from primitives.keys import SigningKey

ASSET = "ab" * 32
GUILDMARK = [sys.executable, "-m", "guildmark.cli.main"]


@pytest.fixture
def node() -> Iterator[FakeNode]:
    with fake_node(make_genesis()[0]) as made:
        yield made


@pytest.fixture(autouse=True)
def surroundings(node: FakeNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = SigningKey(bytes([1]) * 32)
    account = Account.first_of(node.network_id, "alder", key, bytes(16))
    surround(monkeypatch, tmp_path, node.url, {"alder": account})
    monkeypatch.setattr("guildmark.cli.session.RETRY_TIMEOUT_S", 0.2)


def test_help_lists_every_command_and_the_exit_codes() -> None:
    run = subprocess.run([*GUILDMARK, "--help"], capture_output=True, text=True, check=False)
    assert run.returncode == 0
    for name in main.COMMANDS:
        assert name in run.stdout
    for code in (1, 2, 3, 4, 5, 6, 7):
        assert f"{code} " in run.stdout.split("Exit codes:")[1]


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom guildmark.cli import main\nmain.run(['--help'])\n"
        "print(*{m.split('.')[0] for m in sys.modules}, file=sys.stderr)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(run.stderr.split()) & {"aiohttp", "ledger", "artifacts", "msgspec", "cryptography", "psutil"} == set()


def leaves(command: Any) -> Iterator[Any]:
    """The commands of a group, and of the groups in it."""
    if not hasattr(command, "commands"):
        yield command
    for inner in getattr(command, "commands", {}).values():
        assert command.help
        yield from leaves(inner)


@pytest.mark.parametrize("name", list(main.COMMANDS))
def test_every_command_has_help_and_json(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    command = main.root.get_command(None, name)  # type: ignore[arg-type]  # the group asks nothing of the context
    assert command is not None
    for leaf in leaves(command):
        assert leaf.help, f"{name} {leaf.name}"
        assert "json" in {parameter.name for parameter in leaf.params}, f"{name} {leaf.name}"


def test_status_prints_json_on_standard_output_only(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["status", "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["height"] == 7
    assert captured.err == ""


def test_status_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["status"]) == 0
    assert "network_name" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [(400, "query.argument", 1), (404, "query.not_found", 3), (403, "no_grant", 4), (500, "node.failed", 5)],
)
def test_a_nodes_answer_decides_the_exit_code(
    node: FakeNode, status: int, code: str, expected: int, capsys: pytest.CaptureFixture[str]
) -> None:
    node.routes[("GET", "/v1/query/assets.get")] = lambda _: problem(status, code)
    assert main.run(["model", "show", ASSET, "--json"]) == expected
    captured = capsys.readouterr()
    assert captured.out == ""
    assert json.loads(captured.err)["error"]["code"] in (code, "node.unreachable")


@pytest.mark.parametrize(
    "arguments",
    [
        ["nothing"],
        ["model", "register"],
        ["status", "--nothing"],
        ["license", "offer", ASSET],
        ["query", "assets.get", "asset"],
        ["certificate", "verify", "missing"],
        ["cluster", "advance-clock"],
    ],
)
def test_wrong_usage_ends_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err


def test_without_a_network_the_usage_is_explained(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("GUILDMARK_NODE")
    assert main.run(["status"]) == 2
    assert "--node" in capsys.readouterr().err


def test_no_node_ends_with_5(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("GUILDMARK_NODE", "http://127.0.0.1:9")
    assert main.run(["status"]) == 5
    assert "node.unreachable" in capsys.readouterr().err


def test_a_payment_that_nobody_confirms_ends_with_6(
    node: FakeNode, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Ledgerless(node, [{"state": "pending"}])
    assert main.run(["transaction", "show", "cd" * 32, "--wait", "0.05"]) == 6
    assert "cd" * 32 in capsys.readouterr().err


def test_a_rejected_payment_ends_with_1_and_names_the_transaction(
    node: FakeNode, capsys: pytest.CaptureFixture[str]
) -> None:
    Ledgerless(node, [{"state": "rejected", "height": 1, "code": "credits.insufficient"}])
    recipient = Wallet("wallet").read("alder").account
    assert main.run(["account", "pay", recipient, "5", "--json"]) == 1
    error = json.loads(capsys.readouterr().err)["error"]
    assert error["code"] == "credits.insufficient"
    assert len(error["transaction"]) == 64


@pytest.mark.parametrize(("allowed", "expected"), [(True, 0), (False, 4)])
def test_license_check_says_the_reason_and_denies_with_4(
    node: FakeNode, allowed: bool, expected: int, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = {"allowed": allowed, "reason": "granted" if allowed else "no_grant", "clause": ""}
    whole = {"height": 1, "block_time_ms": 1, "result": answer}
    node.routes[("GET", "/v1/query/licenses.check")] = lambda _: (200, whole)
    assert main.run(["license", "check", ASSET, "--json"]) == expected
    assert json.loads(capsys.readouterr().out) == answer


def test_a_false_certificate_ends_with_7(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_bytes(b"not a certificate")
    assert main.run(["certificate", "verify", "file", "--genesis-hash", "00" * 32]) == 7
    assert capsys.readouterr().out == ""


def test_a_wrong_passphrase_ends_with_1(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("GUILDMARK_PASSPHRASE", "wrong")
    assert main.run(["account", "pay", "alder", "5"]) == 1
    assert "wallet.passphrase" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["account", "pay", "alder", "5", "--account", "me"], "wallet.no_such_key"),
        (["account", "open", "new", "--account", "me"], "wallet.no_such_key"),
        (["account", "rotate-key", "new", "--account", "me"], "wallet.no_such_key"),
        (["key", "assign", "me", "gm1"], "wallet.no_such_key"),
        (["account", "pay", "alder", "5", "--account", "spare"], "wallet.no_account"),
    ],
)
def test_nobody_is_asked_for_the_passphrase_of_a_key_that_cannot_act(
    arguments: list[str], code: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys, "key", "create", "spare")
    monkeypatch.delenv("GUILDMARK_PASSPHRASE")  # and there is no terminal: to ask is to fail
    assert run(capsys, *arguments, expect=3 if code == "wallet.no_such_key" else 1)["code"] == code
    assert [key["name"] for key in run(capsys, "key", "list")] == ["alder", "spare"]


@pytest.mark.parametrize("command", [["model", "register"], ["asset", "register", "--kind", "model"]])
def test_a_model_of_another_format_is_told_the_option_that_states_its_tensors(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("digits.h5").write_bytes(b"weights")
    refused = run(capsys, *command, "digits.h5", "--name", "Digits", expect=1)
    assert refused["code"] == "assets.tensors_digest"
    assert "--tensors-digest" in refused["message"]


def test_keys_are_made_shown_and_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["key", "create", "bob", "--json"]) == 0
    made: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert made["public_key"].startswith("did:key:z")
    assert main.run(["key", "list", "--json"]) == 0
    assert [row["name"] for row in json.loads(capsys.readouterr().out)] == ["alder", "bob"]
    assert main.run(["key", "show", "carol"]) == 3


def test_with_several_keys_the_acting_one_must_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["key", "create", "bob"]) == 0
    assert main.run(["account", "pay", "alder", "5"]) == 1
    assert "--account" in capsys.readouterr().err


def test_commands_of_a_missing_network_say_how_to_make_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["cluster", "status", "nowhere"]) == 1
    assert "network init" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["asset", "show", "00"], "argument.id"),
        (["account", "pay", "gm1xx", "5"], "argument.account"),
        (["status", "--node", "127.0.0.1:8080"], "argument.url"),
        (["status", "--node", "ftp://node"], "argument.url"),
        (["status", "--node", "http://127.0.0.1:99999"], "argument.url"),
        (["account", "pay", "alder", "none"], "usage"),
    ],
)
def test_what_is_not_written_as_it_must_be_is_wrong_usage_in_json_too(
    arguments: list[str], code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run([*arguments, "--json"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert json.loads(captured.err)["error"]["code"] == code


def test_a_value_that_is_given_twice_is_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of two amounts of money none is a good guess."""
    given = ["--credits", "alder=1", "--credits", "alder=2"]
    assert main.run(["network", "assemble", "member.toml", "--name", "x", *given]) == 2
    assert "alder is given twice" in capsys.readouterr().err


def test_a_genesis_that_is_none_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    descriptor = member_descriptor.describe(
        organization="alder",
        organization_name="Alder",
        certificate_der=make_identity().certificate_der,
        address="alder.example:7100",
        accounts=[],
        signing_key=SigningKey.generate(),
    )
    Path("member.toml").write_bytes(member_descriptor.write(descriptor))
    Path("genesis.json").write_text("{")
    assert main.run(["network", "verify", "genesis.json", "member.toml"]) == 7
    assert "genesis.json: not a genesis file" in capsys.readouterr().err


def test_a_genesis_hash_that_is_none_is_wrong_usage_and_no_verdict(tmp_path: Path) -> None:
    (tmp_path / "x.gmcert").write_bytes(b"x")
    assert main.run(["certificate", "verify", "x.gmcert", "--genesis-hash", "xyz"]) == 2
    assert main.run(["certificate", "verify", "x.gmcert", "--genesis-hash", "ab" * 32]) == 7


def test_an_existing_network_refuses_options_of_a_new_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "network.json").write_text("{}")
    assert main.run(["cluster", "up", "net", "--validators", "7", "--parameter", "fee_bps=0"]) == 2
    assert "--validators, --parameter" in capsys.readouterr().err


def test_tables_and_records_say_yes_and_no_alike(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"ready": True, "height": None, "clause": ""}, {"ready": False, "height": 0, "clause": "x"}]
    output.emit_table(rows, ("ready", "height", "clause"), json=False)
    assert capsys.readouterr().out.splitlines()[1:] == ["yes    -       -", "no     0       x"]
    output.emit({"clause": ""}, json=False)
    assert capsys.readouterr().out == "clause  -\n"


def test_times_within_a_record_have_a_date_and_spans_have_none(capsys: pytest.CaptureFixture[str]) -> None:
    change = {"until_ms": 1_795_333_083_507, "delay_ms": 3_600_000, "roles": ["audit"]}
    output.emit({"change": change, "comments": [{"at_ms": 1_795_333_083_507}]}, json=False, dates=True)
    shown = capsys.readouterr().out
    assert shown.count("1795333083507 (2026-11-22 07:38:03 UTC)") == 2
    assert "delay_ms  3600000\n" in shown
    assert "- audit" in shown


@pytest.mark.parametrize(
    "arguments",
    [
        ["contribution", "comment", ASSET, "hello"],
        ["attestation", "review", ASSET, "--version", "1", "--rating-ppm", "5", "--text", "missing.txt"],
        ["attestation", "answer", ASSET, "--text", "b" * 59],
    ],
)
def test_a_text_that_is_neither_a_file_nor_a_cid_is_wrong_usage(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(arguments) == 2
    assert "neither a file nor a CID" in capsys.readouterr().err


def test_a_cid_is_taken_as_it_is_and_a_file_as_its_cid(tmp_path: Path) -> None:
    context, parameter = click.Context(click.Command("comment")), click.Option(["--text"])
    (tmp_path / "said.txt").write_bytes(b"hello")
    assert read_evidence(context, parameter, str(tmp_path / "said.txt")) == raw_cid(b"hello")
    assert read_evidence(context, parameter, raw_cid(b"hello")) == raw_cid(b"hello")
    assert read_evidence(context, parameter, None) is None


@pytest.mark.parametrize("name", ["Production", "1st", "bad name", "a" * 33, "é", ""])
def test_a_name_that_no_alias_has_is_wrong_usage(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["asset", "alias", ASSET, name], ["charter", "propose", "alias", ASSET, name, "1"]):
        assert main.run(arguments) == 2
        assert "is no alias" in capsys.readouterr().err


def test_names_of_aliases_are_those_of_the_ledger() -> None:
    context, parameter = click.Context(click.Command("alias")), click.Argument(["name"])
    for name in ("a", "production", "v1.2_b-3", "a" * 32):
        assert read_alias(context, parameter, msgspec.convert(name, Alias)) == name


def test_a_bounty_never_loses_its_condition(capsys: pytest.CaptureFixture[str]) -> None:
    """Evaluators without a metric would leave the decision to who opens it, and the credits in escrow."""
    assert main.run(["bounty", "open", ASSET, "500", "--evaluators", "2"]) == 2
    assert "--metric and --on" in capsys.readouterr().err
    assert main.run(["bounty", "open", ASSET, str(2**63)]) == 2
    condition = read_condition("accuracy=0.95", ASSET, None)
    assert condition is not None
    assert condition.evaluators == 1


def test_progress_names_no_rate_that_one_moment_gave(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first samples come seconds after the start; the rate counts from them on."""
    now = [100.0]
    monkeypatch.setattr("guildmark.cli.model_evaluation.time.monotonic", lambda: now[0])
    with samples_progress(quiet=False) as on_samples:
        assert on_samples is not None
        for passed, done in ((9.0, 32), (0.001, 64), (3.999, 432)):
            now[0] += passed
            on_samples(done, 800)
    assert capsys.readouterr().err.splitlines()[1:] == ["432 of 800 samples, 100.0 a second"]


def test_an_interrupted_demo_leaves_no_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(stage: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.setattr(story, "NEEDED", ())
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(story, "CHAPTERS", [("A chapter", interrupted)])
    assert main.run(["demo"]) == main.INTERRUPTED
    assert list((tmp_path / "temporary").iterdir()) == []


def test_a_demo_without_tensorflow_says_so_and_makes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(story, "NEEDED", ("no_such_library",))
    assert main.run(["demo", "--directory", "place"]) == 1
    assert "no_such_library" in capsys.readouterr().err
    assert not (tmp_path / "place").exists()


def test_a_demos_failure_is_told_with_its_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(stage: object) -> None:
        raise ClusterError("cluster.exited", "node 1 has ended")

    monkeypatch.setattr(story, "NEEDED", ())
    monkeypatch.setattr(story, "CHAPTERS", [("A chapter", fails)])
    assert main.run(["demo", "--directory", "place"]) == 1
    assert "node 1 has ended [cluster.exited]" in "".join(capsys.readouterr())


def test_a_kept_demo_gives_commands_to_copy_and_another_names_no_file_that_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def certifies(stage: Any) -> None:
        stage.narrator.facts["certificate"] = str(stage.directory / "ownership.gmcert")

    place = tmp_path / ("a-long-name-" * 8)
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    monkeypatch.setattr(story, "NEEDED", ())
    monkeypatch.setattr(story, "CHAPTERS", [("A chapter", certifies)])
    assert main.run(["demo", "--json"]) == 0
    assert "certificate" not in json.loads(capsys.readouterr().out)
    assert main.run(["demo", "--json", "--keep", "--directory", str(place / "kept")]) == 0
    captured = capsys.readouterr()
    assert f"guildmark cluster down {place / 'kept' / 'network'}\n" in captured.err
    assert json.loads(captured.out)["certificate"]
