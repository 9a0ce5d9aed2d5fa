"""Whoever registers a claim that nobody will be able to measure is told so in time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from epochs_kit import Consortium, make_genesis
from ledger_node_kit import serving
from test_models_inspection import layer, model, sequential

from guildmark.cli import main
from guildmark.models.errors import ModelRefused
from guildmark.models.foresight import why_not_measured
from guildmark.models.inspection import inspect_model
from guildmark.models.outputs import require_classifier

ONE = layer("Dense", [None, 8], units=1, activation="sigmoid")
TEN = layer("Dense", [None, 8], units=10)
FOREIGN = layer("Mine", [None, 8], name="top") | {"module": None}
WARNING = "warning: `guildmark model evaluate` refuses this model, so nobody can reproduce a claim: "


def graph(*layers: Any, outputs: Any = None) -> dict[str, Any]:
    """A Functional model in which each layer takes what the one before it gives."""
    before, named = "input", []
    for item in layers:
        tensor = {"class_name": "__keras_tensor__", "config": {"shape": [None, 8], "keras_history": [before, 0, 0]}}
        named.append(item | {"name": item["config"]["name"], "inbound_nodes": [{"args": [tensor], "kwargs": {}}]})
        before = item["config"]["name"]
    config = {"name": "functional", "layers": named, "output_layers": outputs or [before, 0, 0]}
    return {"module": "keras.src.models.functional", "class_name": "Functional", "config": config}


@pytest.mark.parametrize(
    ("config", "scores"),
    [
        (sequential(TEN), 10),
        (sequential(TEN, ONE), 1),
        (sequential(ONE, layer("Activation"), layer("Dropout")), 1),
        (sequential(ONE, layer("Flatten")), None),
        (sequential(ONE, layer("Concatenate")), None),
        (sequential(layer("Activation")), None),
        (sequential(), None),
        (graph(TEN | {"config": TEN["config"] | {"name": "first"}}, ONE), 1),
        (graph(ONE, layer("Activation")), 1),
        (graph(ONE | {"config": ONE["config"] | {"name": "first"}}, TEN), 10),
        (graph(layer("Activation")), None),
        (graph(ONE, outputs=[["dense", 0, 0], ["dense", 0, 0]]), None),
        (graph(ONE, outputs=["elsewhere", 0, 0]), None),
        ({"module": "keras", "class_name": "Functional", "config": {"layers": 7}}, None),
    ],
)
def test_how_many_scores_a_model_answers_is_told_by_its_end(tmp_path: Path, config: Any, scores: int | None) -> None:
    summary = inspect_model(model(tmp_path / "m.keras", config))
    assert summary.scores == scores
    if scores == 1:
        with pytest.raises(ModelRefused, match="the model answers 1 score") as caught:
            require_classifier(summary.scores)
        assert caught.value.code == "model.scores"
    else:
        require_classifier(summary.scores)


def test_a_graph_that_leads_back_to_itself_tells_nothing(tmp_path: Path) -> None:
    """M4."""
    config = graph(layer("Activation", name="input"))
    assert inspect_model(model(tmp_path / "m.keras", config)).scores is None


def test_a_model_of_one_score_is_no_classifier_and_may_claim_something_else(tmp_path: Path) -> None:
    path = model(tmp_path / "m.keras", sequential(ONE))
    assert why_not_measured(path, ["mean-absolute-error"]) is None
    assert why_not_measured(path, []) is None
    assert "[model.scores]" in str(why_not_measured(path, ["mean-absolute-error", "accuracy"]))


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    now_ms = time.time_ns() // 1_000_000
    world = Consortium(make_genesis(4, development=True, created_at_ms=now_ms, commitment_age_ms=0))
    with serving(world, monkeypatch, tmp_path) as node:
        node.routes[("PUT", "/v1/artifacts/")] = lambda _: (204, b"")
        monkeypatch.setenv("GUILDMARK_ACCOUNT", "org-0")
        yield


@pytest.mark.usefixtures("commands")
def test_a_model_that_nobody_can_measure_is_registered_with_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    def warnings(name: str, config: Any, *words: str) -> tuple[str, list[str]]:
        """Register a file, as a model or a version; return the asset and what the command warned of."""
        path = model(Path(name), config)
        digest = name.encode().ljust(32, b"-").hex()
        assert main.run([*words, str(path), "--tensors-digest", digest, "--metric", "accuracy=0.9"]) == 0
        said = capsys.readouterr()
        asset = next(line.split()[1] for line in said.out.splitlines() if line.startswith("asset"))
        return asset, [line for line in said.err.splitlines() if line.startswith("warning")]

    register = ("model", "register", "--name", "Digits")
    asset, warned = warnings("good.keras", sequential(TEN), *register)
    assert warned == []
    why = "the layer 'top' of the class Mine is not part of Keras; only Keras' own layers and functions are run"
    _, warned = warnings("foreign.keras", sequential(FOREIGN), *register)
    assert warned == [f"{WARNING}{why} [model.custom_object]"]
    why = "the model answers 1 score for each sample; a classifier answers one for each class"
    _, warned = warnings("one.keras", sequential(ONE), "model", "add-version", asset)
    assert warned == [f"{WARNING}{why} [model.scores]"]
    _, warned = warnings("other.model", sequential(FOREIGN, TEN), *register)
    assert warned == [], "no .keras file"
