"""Training and measuring happen in confined children, and give the same integers every time."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import msgspec
import pytest

from artifacts.tensors import tensor_index, tensors_digest
from artifacts.unixfs import build
from guildmark.cli.main import run
from guildmark.cli.session import Session
from guildmark.errors import NotFound
from guildmark.models import reevaluation
from guildmark.models.errors import ConfinedRunFailed, ModelRefused
from guildmark.models.evaluate import Evaluation, Settings, evaluate
from guildmark.models.inspection import inspect_model
from guildmark.models.provenance import provenance_of
from guildmark.models.reevaluation import reevaluate
from guildmark.models.sandbox import Limits
from guildmark.models.training import TrainedModel, train_digits

np = pytest.importorskip("numpy")
h5py = pytest.importorskip("h5py")
dataset = pytest.importorskip("guildmark.models.dataset")
NOISE_MAX = pytest.importorskip("guildmark.models.scoring").NOISE_MAX

LITTLE = Limits(address_space_bytes=6 << 30)

pytestmark = [pytest.mark.tensorflow, pytest.mark.xdist_group("tensorflow")]


class Trained:
    """One short training, shared by the tests of this file."""

    def __init__(self, directory: Path) -> None:
        self.events: list[dict[str, Any]] = []
        self.result: TrainedModel = train_digits(directory, epochs=2, on_progress=self.events.append)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return Trained(tmp_path_factory.mktemp("training") / "digits")


def rewrite(source: Path, target: Path, change: Callable[[str, bytes], bytes]) -> Path:
    """Copy a `.keras` archive, passing each member through `change`."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
    return target


def with_weights(source: Path, target: Path, change: Callable[[Any], None]) -> Path:
    """Copy a `.keras` archive with its weights file changed in place."""
    scratch = target.with_suffix(".h5")

    def edit(name: str, data: bytes) -> bytes:
        if name != "model.weights.h5":
            return data
        scratch.write_bytes(data)
        with h5py.File(scratch, "r+") as file:
            change(file)
        return scratch.read_bytes()

    return rewrite(source, target, edit)


def test_training_tells_its_progress_and_its_facts(trained: Trained) -> None:
    result = trained.result
    assert [e["event"] for e in trained.events] == ["started", "dataset", "ready", "epoch", "epoch", "saved", "trained"]
    assert [(e["epoch"], e["epochs"]) for e in trained.events if e["event"] == "epoch"] == [(1, 2), (2, 2)]
    assert (result.total, result.train_examples) == (364, 1_433)
    assert result.accuracy_ppm == result.correct * 1_000_000 // result.total
    assert result.accuracy_ppm > 500_000
    assert result.hyperparameters["batch_size"] == "32"
    assert result.hyperparameters["learning_rate"] == "0.001"
    assert "tensorflow" not in sys.modules
    assert "keras" not in sys.modules


def test_its_facts_fit_the_ledger(trained: Trained) -> None:
    made = provenance_of(trained.result)
    assert dict(made.hyperparameters)["library.keras"] == trained.result.libraries["keras"]
    assert made.metrics[0].value_ppm == trained.result.accuracy_ppm
    assert made.code_version.startswith("sha256:")


class Measured:
    """One run of the shared model on the shared data set, with everybody's settings."""

    def __init__(self, trained: Trained) -> None:
        self.steps: list[tuple[int, int]] = []
        self.result: Evaluation = evaluate(
            trained.result.model,
            trained.result.dataset,
            on_samples=lambda done, total: self.steps.append((done, total)),
        )


@pytest.fixture(scope="module")
def measured(trained: Trained) -> Measured:
    return Measured(trained)


def test_evaluation_reproduces_the_accuracy_exactly(trained: Trained, measured: Measured) -> None:
    result, found = trained.result, measured.result
    assert (found.correct, found.samples, found.accuracy_ppm) == (result.correct, result.total, result.accuracy_ppm)
    assert found.parameters == result.parameters
    assert found.tensors_digest == tensors_digest(tensor_index(result.model)).hex()
    assert measured.steps == [(done, 364) for done in range(16, 364, 16)]
    assert "tensorflow" not in sys.modules


def test_threads_kernels_and_batches_do_not_change_the_integers(trained: Trained, measured: Measured) -> None:
    """M7: two threads, oneDNN's kernels and batches of another size; every metric, or its bounds say so."""
    other = evaluate(trained.result.model, trained.result.dataset, settings=Settings(threads=2, onednn=True, batch=64))
    for name, bounds in measured.result.metrics.items():
        assert bounds.least_ppm <= other.metrics[name].value_ppm <= bounds.greatest_ppm
        if bounds.spread_ppm == 0:
            assert other.metrics[name].value_ppm == bounds.value_ppm
    assert 0 < measured.result.noise_ppb < NOISE_MAX * 1e9
    assert 0 < other.noise_ppb < NOISE_MAX * 1e9


def test_images_of_the_same_pixels_give_the_same_integers(trained: Trained, measured: Measured, tmp_path: Path) -> None:
    """M7: PNG and JPEG files in the layout of Open Images, some larger and in color, against the arrays."""
    image = pytest.importorskip("PIL.Image")
    pixels, labels = dataset.read_arrays(trained.result.dataset, ("x_test", "y_test"))
    root = tmp_path / "set"
    (root / "images" / "more").mkdir(parents=True)
    rows = ["ImageID,Source,LabelName,Confidence,Group"]
    for index, (pixel, label) in enumerate(zip(pixels[..., 0], labels, strict=True)):
        place = root / "images" / "more" / f"{index:04}"
        if index % 3 == 0:
            image.fromarray(pixel).save(root / "images" / f"{index:04}.png")
        elif index % 3 == 1:
            image.fromarray(pixel.repeat(2, axis=0).repeat(3, axis=1)).convert("RGB").save(f"{place}.png")
        else:  # each pixel is a block of its own, which JPEG keeps as it is
            image.fromarray(pixel.repeat(8, axis=0).repeat(8, axis=1)).save(f"{place}.jpg", quality=100)
        rows.append(f"{index:04},verification,/m/{label},1,{'odd' if index % 2 else 'even'}")
    (root / "labels.csv").write_text("\n".join(rows) + "\n")
    (root / "class-descriptions.csv").write_text("\n".join(f"/m/{n},The digit {n}" for n in range(10)))
    found = evaluate(trained.result.model, root)
    gap = found.metrics["accuracy-gap"]
    assert found.metrics | {"accuracy-gap": 0} == measured.result.metrics | {"accuracy-gap": 0}
    assert (found.samples, found.groups, found.left_out) == (364, 2, 0)
    assert gap.value_ppm < measured.result.metrics["accuracy-gap"].value_ppm, "between halves, and not between digits"


class Accredited:
    """What the consortium lets the client's account do."""

    def __init__(self) -> None:
        self.now: dict[str, Any] | None = {"active": True, "roles": ["evaluate"], "state": "active"}

    def get(self) -> dict[str, Any]:
        if self.now is None:
            raise NotFound("query.not_found", "no accreditation")
        return self.now


class Registered:
    """Stands for a client: one model and one data set are registered, and their bytes are to be had."""

    def __init__(self, trained: TrainedModel, claims: list[dict[str, Any]]) -> None:
        self.assets = self.artifacts = self.attestations = self
        self.accreditations = Accredited()
        self.files = {"aa" * 32: trained.model, "bb" * 32: trained.dataset}
        self.tensors_digest = tensors_digest(tensor_index(trained.model)).hex()
        self.claims = claims
        self.downloaded: list[Path] = []
        self.stated: list[tuple[Any, ...]] = []

    def get(self, asset: str) -> dict[str, Any]:
        return {"kind": "model" if asset == "aa" * 32 else "dataset"}

    def version(self, asset: str, version: int | str | None) -> dict[str, Any]:
        built = build(self.files[asset])
        facts = {"asset": asset, "version": 3, "cid": built.cid, "size_bytes": built.size_bytes, "claims": self.claims}
        return facts | ({"tensors_digest": self.tensors_digest} if asset == "aa" * 32 else {})

    def download(self, cid: str, size_bytes: int, target: Path, *, progress: Any = None) -> Path:
        source = next(path for path in self.files.values() if build(path).cid == cid)
        self.downloaded.append(target)
        return Path(shutil.copy(source, target))

    def evaluate(self, *arguments: Any, **fields: Any) -> str:
        self.stated.append((arguments, fields))
        return "cc" * 32


def test_a_registered_model_is_measured_against_its_claim(
    trained: Trained, measured: Measured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The data set is downloaded, the model taken from a copy; equal runs give equal reports."""
    facts = {"metric": "accuracy", "claimed_ppm": trained.result.accuracy_ppm, "tolerance_ppm": 0}
    claim = facts | {"dataset": "bb" * 32, "dataset_version": 3}
    other = claim | {"dataset_version": 2, "claimed_ppm": 1}
    client = Registered(trained.result, [other, claim])
    asked: list[tuple[Any, ...]] = []
    monkeypatch.setattr(reevaluation, "evaluate", lambda *files, **_: asked.append(files) or measured.result)
    found = reevaluate(
        client,  # type: ignore[arg-type]  # stands for one
        "aa" * 32,
        "bb" * 32,
        directory=tmp_path,
        model_copy=trained.result.model,
    )
    assert asked == [(trained.result.model, tmp_path / "dataset")]
    assert client.downloaded == [tmp_path / "dataset"]
    assert (found.verdict, found.measured.value_ppm) == ("reproduced", trained.result.accuracy_ppm)
    assert (found.model.version, found.dataset.version) == (3, 3)
    later = msgspec.structs.replace(found, evaluation=msgspec.structs.replace(found.evaluation, elapsed_ms=7))
    assert later.report() == found.report()
    assert json.loads(found.report())["report"]["verdict"] == "reproduced"
    client.tensors_digest = "dd" * 32
    with pytest.raises(ModelRefused) as caught:
        reevaluate(client, "aa" * 32, "bb" * 32, directory=tmp_path)  # type: ignore[arg-type]
    assert caught.value.code == "evaluation.tensors"


def say(
    client: Registered, measured: Measured, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], *more: str
) -> int:
    """Run the command on what the shared run measured, with the accuracy changed; nothing is loaded again."""
    accuracy = msgspec.structs.replace(measured.result.metrics["accuracy"], **change)
    found = msgspec.structs.replace(measured.result, metrics=measured.result.metrics | {"accuracy": accuracy})
    monkeypatch.setattr(reevaluation, "evaluate", lambda *_, **__: found)
    monkeypatch.setattr(Session, "client", lambda _, acting: nullcontext(client))
    return run(["model", "evaluate", f"{'aa' * 32}:3", "--dataset", f"{'bb' * 32}:3", "--submit", "--json", *more])


def test_the_command_states_what_it_found_and_says_by_its_code_whether_the_claim_holds(
    trained: Trained, measured: Measured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """M7: reproduced, contradicted, without a claim; and what no arithmetic decides is not stated."""
    accuracy = trained.result.accuracy_ppm
    claim = {"metric": "accuracy", "claimed_ppm": accuracy, "tolerance_ppm": 500}
    client = Registered(trained.result, [claim | {"dataset": "bb" * 32, "dataset_version": 3}])
    report = tmp_path / "report.json"
    assert say(client, measured, monkeypatch, {}, "--report", str(report)) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["verdict"], shown["value_ppm"], shown["claimed_ppm"]) == ("reproduced", accuracy, accuracy)
    assert shown["report"] == build(report).cid
    assert set(shown["isolation"]) | set(shown["not_isolated"]) == {"network", "processes", "files", "memory", "disk"}
    ((asset, version, metric, value), fields) = client.stated.pop()
    assert (asset, version, metric, value) == ("aa" * 32, 3, "accuracy", accuracy)
    assert fields == {
        "samples": 364,
        "dataset": "bb" * 32,
        "dataset_version": 3,
        "code": shown["code"],
        "environment": shown["environment"],
        "report": shown["report"],
    }
    far = {"value_ppm": accuracy - 501, "least_ppm": accuracy - 501, "greatest_ppm": accuracy - 501}
    assert say(client, measured, monkeypatch, far) == 1
    assert json.loads(capsys.readouterr().out)["verdict"] == "contradicted"
    assert client.stated.pop()[0][3] == accuracy - 501
    assert say(client, measured, monkeypatch, {"least_ppm": accuracy - 501}) == 1
    told = capsys.readouterr()
    assert json.loads(told.out)["verdict"] == "undecided"
    assert json.loads(told.err.splitlines()[-1])["error"]["code"] == "evaluation.undecided"
    client.claims.clear()
    assert say(client, measured, monkeypatch, {"least_ppm": accuracy - 1}) == 1
    assert client.stated == []
    assert say(client, measured, monkeypatch, {"least_ppm": accuracy - 1}, "--spread", "1") == 0
    assert len(client.stated) == 1


@pytest.mark.parametrize(
    ("standing", "said"),
    [
        (None, "it has no accreditation;"),
        ({"active": False, "roles": ["evaluate"], "state": "suspended"}, "to evaluate, is suspended;"),
        ({"active": True, "roles": ["audit"], "state": "active"}, "to audit, is active;"),
    ],
)
def test_who_may_not_state_it_is_told_before_the_measuring(
    trained: Trained, measured: Measured, monkeypatch: pytest.MonkeyPatch, capsys: Any, standing: Any, said: str
) -> None:
    client = Registered(trained.result, [])
    client.accreditations.now = standing
    assert say(client, measured, monkeypatch, {}) == 1
    error = json.loads(capsys.readouterr().err.splitlines()[-1])["error"]
    assert error["code"] == "evaluation.not_accredited"
    assert said in error["message"]
    assert client.downloaded == []


@pytest.mark.parametrize(
    ("limits", "code"),
    [(Limits(wall_ms=500), "confined.timeout"), (Limits(memory_bytes=64 << 20), "confined.memory")],
)
def test_a_model_that_takes_too_much_is_stopped_and_nothing_is_left(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limits: Limits, code: str
) -> None:
    """M5, M6."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    with pytest.raises(ConfinedRunFailed) as caught:
        evaluate(trained.result.model, trained.result.dataset, limits=limits)
    assert caught.value.code == code
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_the_registered_thing_is_not_measured(trained: Trained, tmp_path: Path) -> None:
    client = Registered(trained.result, [])
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"asset": "bb" * 32}, "evaluation.kind"),
        ({"dataset": "aa" * 32}, "evaluation.kind"),
        ({"metric": "beauty"}, "metric.unknown"),
        ({"model_copy": trained.result.dataset}, "evaluation.copy"),
    ]
    for change, code in wrong:
        with pytest.raises(ModelRefused) as caught:
            reevaluate(client, **{"asset": "aa" * 32, "dataset": "bb" * 32, "directory": tmp_path} | change)  # type: ignore[arg-type]
        assert caught.value.code == code


def test_the_same_seed_trains_the_same_model_from_the_same_data(trained: Trained, tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["of-the-caller"] * 40)
    deep.mkdir(parents=True)  # neither read by the child nor counted as its
    again = train_digits(tmp_path, epochs=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dataset.npz", "facts.json", "model.keras", deep.name]
    assert again.dataset.read_bytes() == trained.result.dataset.read_bytes()
    assert tensors_digest(tensor_index(again.model)) == tensors_digest(tensor_index(trained.result.model))
    assert again.correct == trained.result.correct


def test_other_weights_give_another_digest_and_accuracy(trained: Trained, tmp_path: Path) -> None:
    def blank(file: Any) -> None:
        for name in ("conv2d", "dense_1"):
            file[f"layers/{name}/vars/0"][...] = 0

    changed = with_weights(trained.result.model, tmp_path / "m.keras", blank)
    found = evaluate(changed, trained.result.dataset)
    assert found.tensors_digest != tensors_digest(tensor_index(trained.result.model)).hex()
    assert found.accuracy_ppm < trained.result.accuracy_ppm


def refusal(model: Path, data: Path, **options: Any) -> str:
    with pytest.raises(ModelRefused) as caught:
        evaluate(model, data, **options)
    return caught.value.code


def change_config(old: bytes, new: bytes) -> Callable[[str, bytes], bytes]:
    def change(name: str, data: bytes) -> bytes:
        assert name != "config.json" or old in data
        return data.replace(old, new) if name == "config.json" else data

    return change


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        (b'"class_name": "Dropout"', b'"class_name": "Lambda"', "model.lambda"),
        (b'"class_name": "Dropout"', b'"class_name": "TFSMLayer"', "model.layer_refused"),
        (b'"name": "dropout"', b'"name": "../../dropout"', "model.config"),
        (b'"units": 1024', b'"units": 1000000000', "model.too_large"),
        (b'"padding": "same"', b'"padding": "other"', "model.not_loadable"),
    ],
)
def test_a_doctored_configuration_is_refused(
    trained: Trained, tmp_path: Path, old: bytes, new: bytes, code: str
) -> None:
    """M4, M5: lambda, TFSMLayer, `../` layer name, units=10^9; what is left fails inside Keras."""
    model = rewrite(trained.result.model, tmp_path / "m.keras", change_config(old, new))
    assert refusal(model, trained.result.dataset) == code


def test_doctored_weights_are_refused_and_the_canary_is_untouched(trained: Trained, tmp_path: Path) -> None:
    """M4: an external link out of the weights file."""
    canary = tmp_path / "canary.h5"
    with h5py.File(canary, "w") as file:
        file["x"] = np.zeros(3, np.float32)
    before = canary.read_bytes()

    def link(file: Any) -> None:
        del file["layers/dense/vars/1"]
        file["layers/dense/vars/1"] = h5py.ExternalLink(str(canary), "/x")

    model = with_weights(trained.result.model, tmp_path / "m.keras", link)
    assert refusal(model, trained.result.dataset) == "model.weights"
    assert canary.read_bytes() == before


def test_an_h5_file_is_refused(trained: Trained, tmp_path: Path) -> None:
    """M4: .h5 renamed .keras."""
    model = tmp_path / "m.keras"
    with h5py.File(model, "w") as file:
        file["x"] = np.zeros(3)
    assert refusal(model, trained.result.dataset) == "model.hdf5_refused"


def test_what_passes_the_budget_is_stopped_by_the_limits(trained: Trained, tmp_path: Path) -> None:
    """M5: units=10^9 with the first wall taken away; the child fails, this process is unmoved."""
    model = rewrite(trained.result.model, tmp_path / "m.keras", change_config(b'"units": 1024', b'"units": 1000000000'))
    with pytest.raises((ModelRefused, ConfinedRunFailed)):
        evaluate(model, trained.result.dataset, parameters_max=10**15, values_max=10**15, limits=LITTLE)


def test_what_a_batch_would_take_is_counted_in_the_graph_before_it_runs(
    trained: Trained, measured: Measured, tmp_path: Path
) -> None:
    """M5: a configuration that keeps its sizes to itself passes the inspection, and not the count of what Keras made
    of it; nothing of it was run."""
    model = rewrite(trained.result.model, tmp_path / "m.keras", without_shapes)
    summary = inspect_model(model)
    assert 0 < summary.activations < inspect_model(trained.result.model).activations
    budget = measured.result.values - 1
    assert summary.activations < budget // Settings().batch
    assert refusal(model, trained.result.dataset, values_max=budget) == "model.too_large"


def without_shapes(name: str, data: bytes) -> bytes:
    """Drop what layers without weights say about their inputs."""
    if name != "config.json":
        return data
    config = json.loads(data)
    for layer in config["config"]["layers"]:
        if layer["class_name"] not in ("Conv2D", "Dense", "Normalization"):
            layer.pop("build_config", None)
    return json.dumps(config).encode()


def test_data_that_is_not_plain_numbers_is_refused(trained: Trained, tmp_path: Path) -> None:
    """Pickles in data sets are code; missing, unequal and foreign arrays are named."""
    model = trained.result.model
    images, labels = dataset.read_arrays(trained.result.dataset, ("x_test", "y_test"))
    cases: list[tuple[dict[str, Any], str]] = [
        ({"x_test": images}, "dataset.missing"),
        ({"x_test": images, "y_test": labels[:-1]}, "dataset.array"),
        ({"x_test": images, "y_test": np.array([{"code": 1}] * len(labels), dtype=object)}, "dataset.array"),
        ({"x_test": images, "y_test": labels.astype(np.float32)}, "dataset.array"),
        ({"x_test": images, "y_test": labels, "group_test": labels[:-1]}, "dataset.array"),
    ]
    for arrays, code in cases:
        dataset.write_dataset(tmp_path / "d.npz", arrays)
        assert refusal(model, tmp_path / "d.npz") == code
    (tmp_path / "d.npz").write_bytes(b"no archive")
    assert refusal(model, tmp_path / "d.npz") == "dataset.archive"


def test_inputs_of_another_shape_are_a_refusal_and_not_a_crash(trained: Trained, tmp_path: Path) -> None:
    dataset.write_dataset(
        tmp_path / "d.npz", {"x_test": np.zeros((4, 3, 3, 1), np.uint8), "y_test": np.zeros(4, np.uint8)}
    )
    assert refusal(trained.result.model, tmp_path / "d.npz") == "model.inputs"


def test_a_training_that_takes_too_long_is_stopped(tmp_path: Path) -> None:
    """M6."""
    with pytest.raises(ConfinedRunFailed) as caught:
        train_digits(tmp_path, epochs=10_000, limits=Limits(wall_ms=1_000))
    assert caught.value.code == "confined.timeout"
    assert not list(tmp_path.iterdir())


def test_the_facts_lie_beside_the_model(trained: Trained) -> None:
    facts = json.loads((trained.result.model.parent / "facts.json").read_bytes())
    assert facts["correct"] == trained.result.correct
