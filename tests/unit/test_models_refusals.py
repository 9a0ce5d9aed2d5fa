"""Who measures a model is told early, and so that he knows what to do: which file, which array, what to install."""

from __future__ import annotations

import shutil
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from guildmark_kit import run

from artifacts.unixfs import build
from guildmark.cli.session import Session
from guildmark.errors import Denied
from guildmark.models import evaluate as evaluating
from guildmark.models import reevaluation
from guildmark.models.errors import ModelRefused
from guildmark.models.reevaluation import reevaluate

np = pytest.importorskip("numpy")
examples = pytest.importorskip("guildmark.models.examples")

MODEL, DATA = "aa" * 32, "bb" * 32
IMAGES = np.zeros((4, 8, 8, 1), np.uint8)
LABELS = np.arange(4)


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        (
            {"x_test": IMAGES, "y_test": np.array([{"code": 1}] * 4, dtype=object)},
            "the array y_test is an object array, which holds pickles: save plain numbers instead",
        ),
        ({"x_test": IMAGES[:0], "y_test": LABELS[:0]}, "no samples: x_test and y_test are empty"),
        ({"x_test": np.zeros((0, 8)), "y_test": np.array([])}, "no samples: x_test and y_test are empty"),
        ({"x_test": IMAGES, "y_test": LABELS[:3]}, "4 inputs, 3 labels and 3 groups: not as many of each"),
        (
            {"x_test": IMAGES, "y_test": LABELS, "group_test": LABELS[:1]},
            "4 inputs, 4 labels and 1 groups: not as many of each",
        ),
        ({"x_test": np.zeros(4), "y_test": LABELS}, "x_test has the shape (4,), not (samples, ...)"),
        ({"x_test": IMAGES, "y_test": np.int64(3)}, "labels and groups are one integer for each sample"),
        ({"x_test": IMAGES, "y_test": LABELS / 2}, "labels and groups are one integer for each sample"),
    ],
)
def test_what_is_wrong_with_a_data_set_is_said_of_the_array_that_it_is_wrong_with(
    tmp_path: Path, arrays: dict[str, Any], said: str
) -> None:
    np.savez(tmp_path / "d.npz", **arrays)
    with pytest.raises(ModelRefused) as caught:
        examples.open_examples(tmp_path / "d.npz", examples.Arrays())
    assert (caught.value.code, caught.value.message) == ("dataset.array", said)


class Registered:
    """Stands for a client: one model and one data set are registered, and one of them it may not have."""

    def __init__(self, directory: Path, denied: str = "") -> None:
        self.assets = self.artifacts = self
        self.denied = denied
        self.files = {MODEL: directory / "m.keras", DATA: directory / "d.npz"}
        self.asked: list[str] = []
        for asset, file in self.files.items():
            file.write_text(asset)

    def get(self, asset: str) -> dict[str, Any]:
        return {"kind": "model" if asset == MODEL else "dataset"}

    def version(self, asset: str, _version: int | str | None) -> dict[str, Any]:
        built = build(self.files[asset])
        return {"asset": asset, "version": 3, "cid": built.cid, "size_bytes": built.size_bytes}

    def download(self, cid: str, _size_bytes: int, target: Path, *, progress: Any = None) -> Path:
        del progress
        asset = next(name for name, path in self.files.items() if build(path).cid == cid)
        self.asked.append(asset)
        if asset == self.denied:
            raise Denied("no_grant", "no license gives it")
        return Path(shutil.copy(self.files[asset], target))


@pytest.mark.parametrize(("denied", "named"), [(MODEL, f"the model {MODEL}"), (DATA, f"the data set {DATA}")])
def test_who_may_not_have_the_bytes_learns_of_which_of_the_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, denied: str, named: str
) -> None:
    monkeypatch.setattr(reevaluation, "require_tensorflow", lambda: None)
    (tmp_path / "registered").mkdir()
    client = Registered(tmp_path / "registered", denied)
    with pytest.raises(Denied) as caught:
        reevaluate(client, MODEL, DATA, directory=tmp_path)  # type: ignore[arg-type]  # stands for one
    assert caught.value.code == "no_grant"
    assert caught.value.message == f"{named}, version 3, cannot be downloaded: no license gives it"


def test_a_copy_that_is_another_file_is_told_before_anything_is_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reevaluation, "require_tensorflow", lambda: None)
    client = Registered(tmp_path)
    with pytest.raises(ModelRefused) as caught:
        reevaluate(client, MODEL, DATA, directory=tmp_path, dataset_copy=client.files[MODEL])  # type: ignore[arg-type]
    assert caught.value.code == "evaluation.copy"
    assert client.asked == []


def test_what_is_not_installed_is_named_before_anything_is_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluating, "NEEDED", ("numpy", "no_such_library"))
    client = Registered(tmp_path)
    with pytest.raises(ModelRefused) as caught:
        reevaluate(client, MODEL, DATA, directory=tmp_path)  # type: ignore[arg-type]
    assert caught.value.code == "model.tensorflow_missing"
    assert caught.value.message == (
        "measuring takes no_such_library, not installed here: "
        "in a clone, `make demo` installs TensorFlow, or `pip install '.[tensorflow]'`"
    )
    assert client.asked == []


def test_a_report_that_cannot_be_written_is_wrong_usage_before_anything_is_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    client = Registered(tmp_path)
    monkeypatch.setattr(Session, "client", lambda _, acting: nullcontext(client))
    words = ["model", "evaluate", MODEL, "--dataset", DATA, "--anonymous", "--report"]
    for place, said in (
        (tmp_path / "nowhere" / "r.json", f"there is no directory {tmp_path / 'nowhere'}"),
        (client.files[MODEL] / "r.json", f"there is no directory {client.files[MODEL]}"),
        (tmp_path, "is a directory"),
    ):
        assert said in run(capsys, *words, str(place), expect=2)["message"]
    monkeypatch.setattr("guildmark.cli.model_evaluation.os.access", lambda *_: False)
    assert "no file can be made" in run(capsys, *words, str(tmp_path / "r.json"), expect=2)["message"]
    assert client.asked == []
