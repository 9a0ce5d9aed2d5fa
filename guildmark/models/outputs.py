"""How many scores a model answers for each sample, as far as its configuration tells before anything is built."""

from __future__ import annotations

from typing import Any, Final

from guildmark.models.errors import ModelRefused

SCORES_MIN: Final = 2
"""Of a classifier."""
_SAME: Final = frozenset(
    {
        *("Activation", "ReLU", "LeakyReLU", "ELU", "PReLU", "Softmax", "Dropout", "GaussianNoise", "GaussianDropout"),
        *("BatchNormalization", "LayerNormalization", "Normalization", "Rescaling"),
    }
)
"""Layers that answer as many numbers as they get."""


def scores_of(config: dict[str, Any]) -> int | None:
    """The units of the Dense layer at the end, with nothing behind it that changes their number; None of another end.

    `config` may say anything: what is not as Keras writes it tells nothing.
    """
    try:
        layers = config["config"]["layers"]
        if config["class_name"] == "Sequential":
            return _of_chain(layers)
        return _of_graph({layer["name"]: layer for layer in layers}, config["config"]["output_layers"][0])
    except (KeyError, IndexError, TypeError):
        return None


def require_classifier(scores: int | None) -> None:
    """Raise ModelRefused, `model.scores`, where so many scores are fewer than a classifier answers."""
    if scores is not None and scores < SCORES_MIN:
        raise ModelRefused(
            "model.scores", f"the model answers {scores} score for each sample; a classifier answers one for each class"
        )


def _of_chain(layers: list[dict[str, Any]]) -> int | None:
    for layer in reversed(layers):
        if layer["class_name"] not in _SAME:
            return _units(layer)
    return None


def _of_graph(layers: dict[str, dict[str, Any]], name: str) -> int | None:
    for _ in layers:  # a cycle ends with them
        layer = layers[name]
        if layer["class_name"] not in _SAME:
            return _units(layer)
        name = layer["inbound_nodes"][0]["args"][0]["config"]["keras_history"][0]
    return None


def _units(layer: dict[str, Any]) -> int | None:
    units = layer["config"]["units"] if layer["class_name"] == "Dense" else None
    return units if type(units) is int else None
