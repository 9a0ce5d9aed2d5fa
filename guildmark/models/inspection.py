"""Read what a `.keras` archive says about its model, before anything is built from it.

Pure reading of bounded JSON: the layers are of a closed list, none brings its own code, and the parameters that
building would allocate are counted from the configuration (Keras builds each layer from its `build_config`). What
one sample would take on its way is counted from the sizes that the configuration claims; the child that loads the
model counts again, in the graph that Keras makes of it. This is the first of three walls; Keras' `safe_mode` and the
confined child are the others, and neither is trusted alone.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

from artifacts.archive import list_members, read_member
from artifacts.errors import InvalidModelFile
from guildmark.models.errors import ModelRefused
from guildmark.models.outputs import scores_of

MEMBERS: Final = frozenset({"metadata.json", "config.json", "model.weights.h5"})
CONFIG_BYTES_MAX: Final = 4 << 20
LAYERS_MAX: Final = 1_000
PARAMETERS_MAX: Final = 100_000_000
"""Default budget; 400 MB in float32."""
VALUES_MAX: Final = 1 << 30
"""Default budget for the numbers that the graph of one batch computes: 4 GiB in float32 if all were kept."""
DIMENSION_MAX: Final = 1 << 31
NODES_MAX: Final = 200_000
"""Dictionaries and lists in a configuration."""
NAME_CHARACTERS_MAX: Final = 80
"""Of a name in a refusal; the rest is cut off."""

Shape = tuple[int, ...]
Counter = Callable[[dict[str, Any], Shape], int]


class ModelSummary(NamedTuple):
    """What the archive claims."""

    layers: int
    parameters: int
    activations: int
    """Numbers that one sample takes on its way through the layers."""
    keras_version: str
    scores: int | None
    """That it answers for each sample; None where the configuration does not tell."""


def inspect_model(path: Path, parameters_max: int = PARAMETERS_MAX, activations_max: int = VALUES_MAX) -> ModelSummary:
    """Inspect the archive at `path`.

    Raises:
        ModelRefused: `model.hdf5_refused`, `model.archive`, `model.config`, `model.lambda`, `model.custom_object`,
            `model.layer_refused`, `model.too_large`.
        OSError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            config, metadata = _documents(file)
    except InvalidModelFile as error:
        raise ModelRefused(error.code, error.message) from error
    layers = parameters = activations = 0
    for item in _objects(config):
        if item["module"] == "keras.layers":
            layers += 1
            parameters += _parameters(item)
            activations += _activations(item)
        if layers > LAYERS_MAX or parameters > parameters_max or activations > activations_max:
            raise ModelRefused(
                "model.too_large",
                f"more than {LAYERS_MAX} layers, {parameters_max} parameters or {activations_max} numbers for one "
                "sample; not built",
            )
    version = str(metadata.get("keras_version", ""))
    return ModelSummary(layers, parameters, activations, version, scores_of(config))


def _documents(file: BinaryIO) -> tuple[dict[str, Any], dict[str, Any]]:
    members = list_members(file)
    if set(members) != MEMBERS:
        raise InvalidModelFile("model.archive", f"a .keras archive has the members {', '.join(sorted(MEMBERS))}")
    config = _json(read_member(file, members["config.json"], CONFIG_BYTES_MAX))
    # Written by compile(); never loaded, because models are loaded with compile=False.
    config.pop("compile_config", None)
    return config, _json(read_member(file, members["metadata.json"], CONFIG_BYTES_MAX))


def _json(data: bytes) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ValueError("a key is repeated")
        return found

    try:
        value = json.loads(data, object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise ModelRefused("model.config", f"the model's configuration cannot be read: {error}") from error
    if not isinstance(value, dict):
        raise ModelRefused("model.config", "the model's configuration is not an object")
    return value


def _objects(config: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every serialized object in the configuration, checked to be one of Keras' own."""
    if _text(config, "class_name") not in _MODEL_CLASSES:
        raise ModelRefused(
            "model.custom_object",
            f"a model of the class {config['class_name'][:NAME_CHARACTERS_MAX]} is neither Sequential nor Functional",
        )
    pending: list[Any] = [config]
    count = 0
    while pending:
        item = pending.pop()
        count += 1
        if count > NODES_MAX:
            raise ModelRefused("model.too_large", f"the configuration has more than {NODES_MAX} parts")
        if isinstance(item, list):
            pending += [value for value in item if isinstance(value, dict | list)]
        elif isinstance(item, dict):
            pending += [value for value in item.values() if isinstance(value, dict | list)]
            if "class_name" in item and item["class_name"] != "__keras_tensor__":
                yield _known(item)


def _known(item: dict[str, Any]) -> dict[str, Any]:
    class_name = _text(item, "class_name")
    if "lambda" in class_name.lower():
        raise ModelRefused("model.lambda", f"{_what(item)} carries code of its own; such models are not loaded")
    foreign = "module" in item and item["module"] is None  # so Keras saves a class that has code elsewhere
    module = "" if foreign else _text(item, "module")
    if class_name in _MODEL_CLASSES and module in _MODEL_MODULES:
        return item
    if module not in _MODULES or item.get("registered_name") is not None:
        raise ModelRefused(
            "model.custom_object", f"{_what(item)} is not part of Keras; only Keras' own layers and functions are run"
        )
    if module == "keras.layers":
        if class_name not in _LAYERS:
            raise ModelRefused("model.layer_refused", f"{_what(item)} is none of the layers that are loaded")
        name = _config(item).get("name", "")
        if not isinstance(name, str) or name in {".", ".."} or any(c in name for c in "/\\\x00"):
            raise ModelRefused("model.config", f"{name!r} is not a name for a layer")
    return item


def _what(item: dict[str, Any]) -> str:
    """A part of the configuration as its author knows it."""
    class_name, config = item["class_name"][:NAME_CHARACTERS_MAX], item.get("config")
    name = config.get("name") if isinstance(config, dict) else config
    if not isinstance(name, str) or not name:
        return f"a part of the class {class_name}"
    what = "layer" if isinstance(config, dict) else "part"
    return f"the {what} {name[:NAME_CHARACTERS_MAX]!r} of the class {class_name}"


def _parameters(item: dict[str, Any]) -> int:
    """Numbers that building this layer allocates."""
    counter = _LAYERS[item["class_name"]]
    if counter is None:
        return 0
    config = _config(item)
    try:
        count = counter(config, _input_shape(item))
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise ModelRefused(
            "model.config", f"the size of a layer of the class {item['class_name']} cannot be told"
        ) from error
    if count < 0:
        raise ModelRefused("model.config", "a layer of negative size")
    return count


def _activations(item: dict[str, Any]) -> int:
    """Numbers that go into this layer, or come out of it where that is more, as far as its configuration tells."""
    build, config, name = item.get("build_config"), _config(item), item["class_name"]
    if not isinstance(build, dict) or not isinstance(build.get("input_shape"), list):
        return 0
    shape = build["input_shape"]
    try:
        if any(isinstance(part, list) for part in shape):  # a layer with several inputs
            return sum(_values(part) for part in shape if isinstance(part, list))
        inputs = _values(shape)
        if name in _GROWTH:
            return inputs * max(1, _sizes(config[_GROWTH[name]]))
        width = _WIDTH.get(name)
        if width is not None:
            channels = max(1, _channels(config, tuple(1 if n is None else _size(n) for n in shape)))
            steps = _sizes(config["strides"]) if name.endswith("Transpose") else 1
            return max(inputs, inputs // channels * _size(config[width]) * steps)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise ModelRefused(
            "model.config", f"the size of what a layer of the class {name} computes cannot be told"
        ) from error
    return inputs


def _values(shape: list[Any]) -> int:
    return math.prod(1 if n is None else _size(n) for n in shape[1:])


def _input_shape(item: dict[str, Any]) -> Shape:
    build = item.get("build_config")
    shape = build.get("input_shape") if isinstance(build, dict) else None
    if not isinstance(shape, list):
        return ()
    return tuple(1 if n is None else _size(n) for n in shape)


def _size(value: Any) -> int:
    """A dimension as the configuration states it; bool is not one."""
    if type(value) is not int or not 0 <= value <= DIMENSION_MAX:
        raise ValueError("not a size")
    return value


def _sizes(value: Any) -> int:
    return math.prod(_size(n) for n in value) if isinstance(value, list) else _size(value)


def _channels(config: dict[str, Any], shape: Shape) -> int:
    return shape[1 if config.get("data_format") == "channels_first" else -1]


def _bias(config: dict[str, Any], size: int) -> int:
    return size if config.get("use_bias", True) else 0


def _dense(config: dict[str, Any], shape: Shape) -> int:
    units = _size(config["units"])
    return units * shape[-1] + _bias(config, units)


def _convolution(config: dict[str, Any], shape: Shape) -> int:
    filters, groups = _size(config["filters"]), max(1, _size(config.get("groups", 1)))
    return _sizes(config["kernel_size"]) * (_channels(config, shape) // groups) * filters + _bias(config, filters)


def _depthwise(config: dict[str, Any], shape: Shape) -> int:
    channels = _channels(config, shape) * _size(config["depth_multiplier"])
    return _sizes(config["kernel_size"]) * channels + _bias(config, channels)


def _separable(config: dict[str, Any], shape: Shape) -> int:
    channels, filters = _channels(config, shape) * _size(config["depth_multiplier"]), _size(config["filters"])
    return _sizes(config["kernel_size"]) * channels + channels * filters + _bias(config, filters)


def _recurrent(config: dict[str, Any], shape: Shape) -> int:
    """The largest of the kinds: an LSTM has four gates, a GRU three with two biases."""
    units = _size(config["units"])
    return 4 * units * (shape[-1] + units + 2)


def _embedding(config: dict[str, Any], _: Shape) -> int:
    return _size(config["input_dim"]) * _size(config["output_dim"])


def _per_feature(factor: int) -> Counter:
    """An upper bound for layers with some numbers for every feature along any axes."""
    return lambda _, shape: factor * math.prod(shape[1:]) + 1 if shape else _unknown()


def _batch_normalization(config: dict[str, Any], shape: Shape) -> int:
    axis = config["axis"]
    return 4 * shape[axis[0] if isinstance(axis, list) else axis]


def _unknown() -> int:
    raise ValueError("the input shape is missing")


_GROWTH: Final = {"UpSampling1D": "size", "UpSampling2D": "size", "RepeatVector": "n", "Embedding": "output_dim"}
"""Layers that make several numbers of each, and the field that says how many."""
_WIDTH: Final = {
    "Dense": "units",
    **dict.fromkeys(("Conv1D", "Conv2D", "Conv3D", "SeparableConv1D", "SeparableConv2D"), "filters"),
    **dict.fromkeys(("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"), "filters"),
}
"""Layers whose outputs have a width of their own."""
_MODEL_CLASSES: Final = frozenset({"Sequential", "Functional"})
_MODEL_MODULES: Final = frozenset(
    {"keras", "keras.models", "keras.src.models.functional", "keras.src.models.sequential"}
)
_MODULES: Final = frozenset(
    {"keras", "keras.layers", "keras.initializers", "keras.regularizers", "keras.constraints", "keras.activations"}
)
_LAYERS: Final[dict[str, Counter | None]] = {
    "Dense": _dense,
    **dict.fromkeys(("Conv1D", "Conv2D", "Conv3D"), _convolution),
    **dict.fromkeys(("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"), _convolution),
    **dict.fromkeys(("DepthwiseConv1D", "DepthwiseConv2D"), _depthwise),
    **dict.fromkeys(("SeparableConv1D", "SeparableConv2D"), _separable),
    **dict.fromkeys(("LSTM", "GRU", "SimpleRNN"), _recurrent),
    "Embedding": _embedding,
    "BatchNormalization": _batch_normalization,
    "LayerNormalization": _per_feature(2),
    "GroupNormalization": _per_feature(2),
    "Normalization": _per_feature(2),
    "PReLU": _per_feature(1),
    **dict.fromkeys(
        (
            *("InputLayer", "Flatten", "Reshape", "Permute", "RepeatVector", "Masking", "Rescaling", "Resizing"),
            *("Dropout", "SpatialDropout1D", "SpatialDropout2D", "GaussianNoise", "GaussianDropout"),
            *("Activation", "ReLU", "LeakyReLU", "ELU", "Softmax"),
            *(
                "MaxPooling1D",
                "MaxPooling2D",
                "MaxPooling3D",
                "AveragePooling1D",
                "AveragePooling2D",
                "AveragePooling3D",
            ),
            *("GlobalMaxPooling1D", "GlobalMaxPooling2D", "GlobalAveragePooling1D", "GlobalAveragePooling2D"),
            *("ZeroPadding1D", "ZeroPadding2D", "Cropping1D", "Cropping2D", "UpSampling1D", "UpSampling2D"),
            *("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate", "Dot"),
            *("RandomRotation", "RandomTranslation", "RandomZoom", "RandomFlip", "RandomContrast"),
        )
    ),
}
"""Layers that may be loaded; None: without parameters. Lambda, TFSMLayer and wrappers of foreign code are left out."""


def _text(item: dict[str, Any], key: str) -> str:
    value = item.get(key)
    if not isinstance(value, str):
        raise ModelRefused("model.config", f"a part of the configuration has no {key}")
    return value


def _config(item: dict[str, Any]) -> dict[str, Any]:
    value = item.get("config")
    if not isinstance(value, dict):
        raise ModelRefused("model.config", "a layer has no configuration")
    return value
