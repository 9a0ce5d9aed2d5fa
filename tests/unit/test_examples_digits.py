"""The example runs as it stands, and what it writes can be measured by a stranger."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from guildmark.models.evaluate import evaluate

pytestmark = [pytest.mark.tensorflow, pytest.mark.xdist_group("tensorflow")]

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "train_and_register_digits.py"


def test_the_example_trains_a_model_whose_accuracy_is_reproduced(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, str(SCRIPT), "--train-only", "--directory", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": "", "TF_NUM_INTRAOP_THREADS": "2"},
    )
    assert run.returncode == 0, run.stderr[-2_000:]
    said = re.search(r"(\d+) of (\d+) held-out digits are right", run.stdout)
    assert said is not None
    found = evaluate(tmp_path / "digits.keras", tmp_path / "digits.npz")
    assert (found.correct, found.samples) == (int(said[1]), int(said[2]))
    assert found.accuracy_ppm > 850_000
