"""The demo is the promise of the README: every step of it must hold."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest


@pytest.mark.cluster
@pytest.mark.tensorflow
@pytest.mark.timeout(240)
def test_the_demo_holds_and_leaves_nothing_running(tmp_path: Path) -> None:
    """A real model is trained, registered, sold, downloaded, measured again and handed over, through a killed
    primary; its creator has a score then."""
    environment = {**os.environ, "TMPDIR": str(tmp_path), "HOME": str(tmp_path), "NO_COLOR": "1"}
    run = subprocess.run(
        [str(Path(sys.executable).with_name("guildmark")), "demo", "--json"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    facts = json.loads(run.stdout)
    assert facts["held"]
    assert facts["reproduced_ppm"] == facts["accuracy_ppm"]
    assert facts["score_ppm"] > 500_000
    assert facts["price"] == 100_000
    assert facts["royalty"] == 9_750
    assert facts["view_after"] > facts["view_before"]
    assert list(tmp_path.glob("guildmark-*")) == []
    left = [p.cmdline() for p in psutil.process_iter() if str(tmp_path) in " ".join(_command(p))]
    assert left == []


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
