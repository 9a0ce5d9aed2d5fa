"""The plugin on real processes: disturbing nodes, moving time, and leaving nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # ships no types
import pytest

from guildmark.sync import Client
from guildmark.testing.clusters import AccountFactory, ClusterFactory, TestCluster

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("shared-network")]


def test_the_network_commits_and_all_nodes_agree(
    guildmark_cluster: TestCluster, guildmark_client: Client, guildmark_account: AccountFactory
) -> None:
    receiver = guildmark_account(credits=0)
    outcome = guildmark_client.credits.transfer(receiver, 5)
    head = guildmark_cluster.wait_same_head()
    assert head["certified_height"] >= (outcome.height or 0)
    assert guildmark_client.credits.balance(receiver) == 5


def test_a_killed_primary_is_replaced_and_catches_up_after_its_restart(
    guildmark_cluster: TestCluster, guildmark_client: Client, guildmark_account: AccountFactory
) -> None:
    """L1: no acknowledged transaction is lost or doubled, and the next view carries on."""
    receiver = guildmark_account(credits=0)
    primary = guildmark_cluster.primary()
    guildmark_cluster.kill(primary)
    for _ in range(3):
        guildmark_client.credits.transfer(receiver, 1)
    assert guildmark_cluster.primary() != primary
    guildmark_cluster.restart(primary)
    guildmark_cluster.wait_same_head()
    with guildmark_cluster.client(node=primary) as client:
        assert client.credits.balance(receiver) == 3


def test_a_paused_backup_does_not_stop_the_others(
    guildmark_cluster: TestCluster, guildmark_client: Client, guildmark_account: AccountFactory
) -> None:
    receiver = guildmark_account(credits=0)
    backup = next(index for index in range(4) if index != guildmark_cluster.primary())
    guildmark_cluster.pause(backup)
    urls = [url for index, url in enumerate(guildmark_cluster.urls) if index != backup]
    with Client(urls, guildmark_client.signer()) as client:
        client.credits.transfer(receiver, 4)
    guildmark_cluster.resume(backup)
    guildmark_cluster.wait_same_head()
    assert guildmark_client.credits.balance(receiver) == 4


def test_time_can_be_moved(guildmark_cluster: TestCluster, guildmark_client: Client) -> None:
    before = int(guildmark_client.block()["timestamp_ms"])
    height = guildmark_cluster.advance(86_400_000)
    assert int(guildmark_client.wait_for_height(height)["timestamp_ms"]) >= before + 86_400_000
    guildmark_client.credits.balance()


def test_a_commitment_must_age_by_block_time(guildmark_cluster_factory: ClusterFactory, tmp_path: Path) -> None:
    cluster = guildmark_cluster_factory(genesis={"commitment_age_ms": 60_000})
    with cluster.client("alder") as client:
        path = tmp_path / "work"
        path.write_bytes(os.urandom(1_000))
        from guildmark.artifact_transfer import LocalArtifact

        with LocalArtifact(path) as artifact:
            committed = client.assets.commit(artifact)
            assert committed.ready_at_ms > client.network_time_ms()
            cluster.advance(60_000)
            made = client.assets.register(artifact, kind="artwork", name="aged", committed=committed)
        assert made.version == 1
    cluster.stop()


def test_overrides_reach_genesis_and_nodes(guildmark_cluster_factory: ClusterFactory) -> None:
    cluster = guildmark_cluster_factory(
        validators=1, genesis={"fee_bps": 17, "name": "solo"}, organizations=[("acme", "Acme")]
    )
    with cluster.client("acme") as client:
        status = client.status()
        assert (status["network_name"], status["validators"]) == ("solo", 1)
        assert client.genesis().parameters.fee_bps == 17
        client.accounts.open()
    cluster.stop()


def test_the_second_process_on_a_directory_ends_with_a_clear_message(guildmark_cluster: TestCluster) -> None:
    from guildmark.cluster.interpreter import node_command, node_environment

    guildmark_cluster.heal()
    run = subprocess.run(
        node_command("start", "--data-dir", str(guildmark_cluster.nodes[0].directory)),
        env=node_environment(),
        cwd=guildmark_cluster.directory,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert run.returncode != 0
    assert "Traceback" not in run.stderr
    assert run.stderr.strip()
    assert guildmark_cluster.running() == [0, 1, 2, 3]


THEIR_TEST = """
import pathlib

import pytest

@pytest.fixture(scope="session")
def guildmark_options():
    return {{"validators": {validators}}}

def test_theirs(guildmark_cluster, guildmark_client):
    pids = [str(node.record().pid) for node in guildmark_cluster.nodes]
    pathlib.Path("pids").write_text(" ".join(pids))
    pathlib.Path("directory").write_text(str(guildmark_cluster.directory))
    {body}
"""


def their_run(tmp_path: Path, body: str, validators: int = 2) -> subprocess.Popen[str]:
    text = textwrap.dedent(THEIR_TEST).format(body=body, validators=validators)
    (tmp_path / "test_theirs.py").write_text(text)
    for name in ("node", "consensus"):  # a foreign project's own packages of these names
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("theirs = True\n")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--basetemp", str(tmp_path / "base")],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_gone(tmp_path: Path, validators: int = 2) -> None:
    pids = [int(text) for text in (tmp_path / "pids").read_text().split()]
    assert len(pids) == validators
    deadline = time.monotonic() + 20
    while any(alive(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(alive(pid) for pid in pids)


def alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def test_a_foreign_project_gets_a_cluster_and_nothing_stays(tmp_path: Path) -> None:
    run = their_run(tmp_path, "assert guildmark_client.status()['validators'] == 4", validators=4)
    output, _ = run.communicate(timeout=90)
    assert run.returncode == 0, output
    assert "name clash" in output
    wait_gone(tmp_path, validators=4)
    assert not Path((tmp_path / "directory").read_text()).exists()


def test_a_failed_test_keeps_directory_and_merged_log_and_says_where(tmp_path: Path) -> None:
    run = their_run(tmp_path, "assert False, 'their failure'")
    output, _ = run.communicate(timeout=90)
    assert run.returncode == 1, output
    directory = Path((tmp_path / "directory").read_text())
    assert str(directory) in output
    assert (directory / "logs" / "merged.log").is_file()
    assert "merged log" in output
    wait_gone(tmp_path)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_nothing_stays_after_an_interruption_however_rude(tmp_path: Path, number: signal.Signals) -> None:
    run = their_run(tmp_path, "import time; time.sleep(60)")
    try:
        deadline = time.monotonic() + 60
        while not (tmp_path / "directory").exists():
            assert time.monotonic() < deadline, "the foreign test did not begin"
            assert run.poll() is None, run.stdout.read() if run.stdout else ""
            time.sleep(0.05)
        run.send_signal(number)
        run.communicate(timeout=40)
    finally:
        run.kill()
        run.communicate()
    wait_gone(tmp_path)
