"""The data directory's lock, what is said when it cannot be used, and metrics."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec
import pytest

from node.commands import main
from node.data_directory import DataDirectory
from node.failures import DirectoryInUse, DirectoryUnusable, ExitCode
from node.metrics import NodeMetrics, Reading
from node.process import young_commitments
from tests.unit.modules_kit import make_genesis

ROOT = Path(__file__).resolve().parents[2]


def test_one_holder_at_a_time_and_the_other_hears_who(tmp_path: Path) -> None:
    """R8"""
    with DataDirectory(tmp_path):
        with pytest.raises(DirectoryInUse, match=f"in use by process {os.getpid()}"):
            DataDirectory(tmp_path).open()
        with pytest.raises(DirectoryInUse):  # a failed try must not drop the lock
            DataDirectory(tmp_path).open()
    with DataDirectory(tmp_path):
        pass


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(DirectoryUnusable, match="no such directory"):
        DataDirectory(tmp_path / "absent").open()


def test_the_command_ends_with_a_line_and_a_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["start", "--data-dir", str(tmp_path / "absent")]) == ExitCode.STORAGE
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert len(error.splitlines()) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize(("mode", "words"), [(0o711, "cannot be written"), (0o700, "cannot be read")])
def test_a_directory_of_another_user_is_a_clear_error(mode: int, words: str) -> None:
    """D6: modes do not stop root, so the check runs as nobody. Other runs of pytest close the parents of `tmp_path`."""
    with tempfile.TemporaryDirectory(prefix="guildmark-nobody-") as made:
        directory = Path(made) / "node"
        directory.mkdir()
        Path(made).chmod(mode)
        code = (
            "import gettext, locale, os, sys, node.process; from node.commands import main; "
            "os.setgid(65534); os.setuid(65534); "
            f"sys.exit(main(['start', '--data-dir', {str(directory)!r}]))"
        )
        run = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
        )
    assert run.returncode == ExitCode.STORAGE, run.stderr
    assert words in run.stderr
    assert "Traceback" not in run.stderr


def test_metrics_show_readings_with_closed_labels() -> None:
    async def check() -> None:
        metrics = NodeMetrics()
        metrics.add(
            lambda: [
                Reading("guildmark_height", "Executed height", 7),
                Reading("guildmark_frames", "By channel", {"consensus": 2, "sync": 1}, "channel", "counter"),
            ]
        )
        metrics.on_request("GET", "/v1/status", 200)
        metrics.on_request("SPRÖNG", "unmatched", 404)
        metrics.watch_loop(asyncio.get_running_loop())
        await asyncio.sleep(0.25)
        metrics.stop()
        text = metrics.exposition().decode()
        assert "guildmark_height 7.0" in text
        assert 'guildmark_frames_total{channel="consensus"} 2.0' in text
        assert 'guildmark_http_requests_total{method="GET",route="/v1/status",status="200"} 1.0' in text
        assert 'method="other"' in text
        assert "guildmark_loop_lateness_seconds_count 2.0" in text or "seconds_count 1.0" in text

    asyncio.run(check())


@pytest.mark.parametrize(
    ("validators", "turn_ms", "age_ms", "development", "warned"),
    [
        (4, 5_000, 10_000, False, False),
        (4, 5_001, 10_000, False, True),
        (7, 5_000, 10_000, False, True),
        (7, 5_000, 15_000, False, False),
        (7, 5_000, 0, True, False),
    ],
)
def test_a_node_warns_where_its_turns_outlast_commitments(
    validators: int, turn_ms: int, age_ms: int, development: bool, warned: bool
) -> None:
    """f validators in a row could keep a registration waiting until a copy of theirs may come first."""
    base = make_genesis(validators, commitment_age_ms=age_ms)
    genesis = msgspec.structs.replace(base, development=development)
    assert bool(young_commitments(genesis, turn_ms)) is warned
