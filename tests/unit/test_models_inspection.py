"""A model's archive is judged before anything is built from it."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from guildmark.models.errors import ModelError, ModelRefused
from guildmark.models.inspection import CONFIG_BYTES_MAX, LAYERS_MAX, inspect_model
from guildmark.models.provenance import code_version, provenance
from ledger.modules.assets.operations import Derivation, Metric


def layer(class_name: str, shape: list[int | None] | None = None, module: str = "keras.layers", **config: Any) -> Any:
    item = {
        "module": module,
        "class_name": class_name,
        "config": {"name": class_name.lower()} | config,
        "registered_name": None,
    }
    return item | ({"build_config": {"input_shape": shape}} if shape is not None else {})


def sequential(*layers: Any, **more: Any) -> dict[str, Any]:
    config = {"name": "sequential", "layers": list(layers)}
    return {"module": "keras", "class_name": "Sequential", "config": config, "registered_name": None} | more


def model(path: Path, config: Any, **members: bytes) -> Path:
    text = config if isinstance(config, bytes) else json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("metadata.json", b'{"keras_version": "3.15.1"}')
        file.writestr("config.json", text)
        file.writestr("model.weights.h5", b"weights")
        for name, data in members.items():
            file.writestr(name, data)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(ModelRefused) as caught:
        inspect_model(path)
    return caught.value.code


GET_FILE = layer("get_file", module="keras.utils")
CONVOLUTION = {"filters": 16, "kernel_size": [3, 3], "groups": 1, "use_bias": True, "data_format": "channels_last"}


@pytest.mark.parametrize(
    ("item", "parameters"),
    [
        (layer("Dense", [None, 20], units=10, use_bias=True), 210),
        (layer("Dense", [None, 20], units=10, use_bias=False), 200),
        (layer("Conv2D", [None, 8, 8, 3], **CONVOLUTION), 3 * 3 * 3 * 16 + 16),
        (layer("Conv2D", [None, 3, 8, 8], **CONVOLUTION | {"data_format": "channels_first"}), 3 * 3 * 3 * 16 + 16),
        (layer("DepthwiseConv2D", [None, 8, 8, 4], kernel_size=[3, 3], depth_multiplier=2), 9 * 8 + 8),
        (layer("Embedding", None, input_dim=100, output_dim=8), 800),
        (layer("BatchNormalization", [None, 8, 8, 16], axis=-1), 64),
        (layer("Flatten", [None, 8, 8, 1]), 0),
        (layer("Dropout", None, rate=0.5), 0),
    ],
)
def test_parameters_are_counted_from_the_configuration(tmp_path: Path, item: Any, parameters: int) -> None:
    summary = inspect_model(model(tmp_path / "m.keras", sequential(item)))
    assert (summary.layers, summary.parameters, summary.keras_version) == (1, parameters, "3.15.1")


@pytest.mark.parametrize(
    ("config", "code"),
    [
        (sequential(layer("Lambda", function={"class_name": "__lambda__", "config": {}})), "model.lambda"),
        (sequential(layer("Activation", activation={"class_name": "__lambda__", "config": {}})), "model.lambda"),
        (sequential(layer("TFSMLayer", filepath="/tmp/x")), "model.layer_refused"),
        (sequential(layer("TorchModuleWrapper")), "model.layer_refused"),
        (sequential(layer("Evil", module="builtins")), "model.custom_object"),
        (sequential(layer("system", module="os")), "model.custom_object"),
        (sequential(layer("Dense", [None, 2], units=1) | {"registered_name": "mine>Dense"}), "model.custom_object"),
        (layer("Dense", [None, 2], units=1), "model.custom_object"),
        (
            sequential(layer("Dense", [None, 2], units=1, kernel_initializer=GET_FILE)),
            "model.custom_object",
        ),
        (
            sequential(layer("Dense", [None, 2], units=1) | {"config": {"name": "../../evil", "units": 1}}),
            "model.config",
        ),
        (sequential(layer("Dense", [None, 2], units=True)), "model.config"),
        (sequential(layer("Dense", [None, 2], units=-1)), "model.config"),
        (sequential(layer("Dense", [None, 2], units="1")), "model.config"),
        (sequential(layer("Dense", [None, 2])), "model.config"),
        (sequential(layer("Dense", None, units=3)), "model.config"),
        (sequential(layer("Mine") | {"module": None, "registered_name": "Mine"}), "model.custom_object"),
        (sequential({"class_name": 7}), "model.config"),
        (sequential({"class_name": "Dense"}), "model.config"),
        ([], "model.config"),
        (b"{", "model.config"),
        (b"[" * 200_000, "model.config"),
        (b'{"class_name": "Sequential", "class_name": "Lambda"}', "model.config"),
    ],
)
def test_code_paths_and_nonsense_are_refused_by_name(tmp_path: Path, config: Any, code: str) -> None:
    """M4: lambdas, TFSMLayer, foreign classes, `../` layer names."""
    assert refusal(model(tmp_path / "m.keras", config)) == code


@pytest.mark.parametrize(
    ("item", "said"),
    [
        (
            layer("Mine", name="top") | {"module": None, "registered_name": "pkg>Mine"},
            "the layer 'top' of the class Mine is not part of Keras; only Keras' own layers and functions are run",
        ),
        (
            layer("Activation", activation={"module": "builtins", "class_name": "function", "config": "swish"}),
            "the part 'swish' of the class function is not part of Keras; only Keras' own layers and functions are run",
        ),
        (
            layer("Lambda", name="halve"),
            "the layer 'halve' of the class Lambda carries code of its own; such models are not loaded",
        ),
        (
            layer("Activation", activation={"class_name": "__lambda__", "config": {}}),
            "a part of the class __lambda__ carries code of its own; such models are not loaded",
        ),
        (layer("TFSMLayer"), "the layer 'tfsmlayer' of the class TFSMLayer is none of the layers that are loaded"),
        (
            layer("M" * 1_000, name="n" * 1_000) | {"module": None},
            f"the layer '{'n' * 80}' of the class {'M' * 80} is not part of Keras; "
            "only Keras' own layers and functions are run",
        ),
    ],
)
def test_a_refusal_names_the_part_and_what_is_wrong_with_it(tmp_path: Path, item: Any, said: str) -> None:
    with pytest.raises(ModelRefused) as caught:
        inspect_model(model(tmp_path / "m.keras", sequential(item)))
    assert caught.value.message == said


@pytest.mark.parametrize(
    "config",
    [
        sequential(layer("Dense", [None, 8], units=10**9)),
        sequential(layer("Dense", [None, 10**9], units=8)),
        sequential(layer("Conv2D", [None, 8, 8, 3], **CONVOLUTION | {"kernel_size": [10**5, 10**5]})),
        sequential(layer("Embedding", None, input_dim=10**9, output_dim=1)),
        sequential(*[layer("Dense", [None, 4_000], units=4_000)] * 7),
        sequential(*[layer("Flatten")] * (LAYERS_MAX + 1)),
    ],
    ids=["units", "inputs", "kernel", "embedding", "together", "layers"],
)
def test_a_model_beyond_the_budget_is_refused_without_building_it(tmp_path: Path, config: Any) -> None:
    """M5: units=10^9, too many layers."""
    assert refusal(model(tmp_path / "m.keras", config)) == "model.too_large"


@pytest.mark.parametrize(
    ("item", "activations"),
    [
        (layer("Dense", [None, 20], units=100), 100),
        (layer("Dense", [None, 20], units=10), 20),
        (layer("Conv2D", [None, 8, 8, 3], **CONVOLUTION), 8 * 8 * 16),
        (layer("Conv2DTranspose", [None, 8, 8, 3], **CONVOLUTION, strides=[2, 2]), 16 * 16 * 16),
        (layer("UpSampling2D", [None, 8, 8, 3], size=[10, 10]), 80 * 80 * 3),
        (layer("RepeatVector", [None, 5], n=7), 35),
        (layer("Embedding", [None, 30], input_dim=100, output_dim=8), 30 * 8),
        (layer("Concatenate", [[None, 8, 8, 3], [None, 8, 8, 5]]), 8 * 8 * 8),
        (layer("Flatten", [None, 8, 8, 1]), 64),
        (layer("Dropout", None, rate=0.5), 0),
    ],
)
def test_what_a_sample_takes_on_its_way_is_counted(tmp_path: Path, item: Any, activations: int) -> None:
    path = model(tmp_path / "m.keras", sequential(item))
    assert inspect_model(path).activations == activations


@pytest.mark.parametrize(
    "item",
    [
        layer("Flatten", [None, 1 << 16, 1 << 15]),
        layer("UpSampling2D", [None, 64, 64, 3], size=[512, 512]),
        layer("RepeatVector", [None, 100_000], n=100_000),
        layer("Conv2D", [None, 40_000, 40_000, 1], **CONVOLUTION),
    ],
    ids=["inputs", "upsampling", "repeats", "convolution"],
)
def test_activations_beyond_the_budget_are_refused_without_building_them(tmp_path: Path, item: Any) -> None:
    """M5: few parameters, and more numbers on the way than a machine has room for."""
    assert refusal(model(tmp_path / "m.keras", sequential(item))) == "model.too_large"


@pytest.mark.parametrize(
    "item",
    [
        layer("UpSampling2D", [None, 8, 8, 3]),
        layer("UpSampling2D", [None, 8, 8, 3], size="x"),
        layer("Flatten", [None, -1]),
        layer("Flatten", [None, 1.5]),
        layer("Concatenate", [[None, "x"]]),
    ],
)
def test_sizes_that_are_none_are_refused(tmp_path: Path, item: Any) -> None:
    assert refusal(model(tmp_path / "m.keras", sequential(item))) == "model.config"


def test_a_million_layers_are_refused_by_size(tmp_path: Path) -> None:
    """M5: 10^6 layers, and a configuration that unpacks to far more than it takes."""
    path = tmp_path / "m.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("metadata.json", "{}")
        file.writestr("model.weights.h5", "")
        file.writestr("config.json", bytes(CONFIG_BYTES_MAX + 1))
    assert refusal(path) == "model.archive"


@pytest.mark.parametrize("name", ["assets/payload.py", "evil.so", "model.weights/shard.h5"])
def test_further_members_are_refused(tmp_path: Path, name: str) -> None:
    """M4."""
    assert refusal(model(tmp_path / "m.keras", sequential(), **{name: b""})) == "model.archive"


def test_an_h5_file_and_other_files_are_refused(tmp_path: Path) -> None:
    """M4: .h5 renamed .keras."""
    path = tmp_path / "m.keras"
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    assert refusal(path) == "model.hdf5_refused"
    path.write_bytes(b"\x80\x04pickle")
    assert refusal(path) == "model.archive"


def test_how_a_model_was_compiled_does_not_matter(tmp_path: Path) -> None:
    """It is never loaded, so a loss function of one's own is no ground for refusal."""
    config = sequential(layer("Flatten"), compile_config={"loss": layer("my_loss", module="builtins")})
    assert inspect_model(model(tmp_path / "m.keras", config)).layers == 1


def test_provenance_is_built_in_the_ledgers_terms() -> None:
    parent = Derivation(bytes(32), "train-on", bytes(32))
    made = provenance(
        hyperparameters={"seed": 7, "learning_rate": 0.001},
        preprocessing=["normalization"],
        metrics_ppm={"accuracy": 967_032},
        derivations=[parent],
    )
    assert made.hyperparameters == (("learning_rate", "0.001"), ("seed", "7"))
    assert made.metrics == (Metric("accuracy", 967_032),)
    assert made.derivations == (parent,)


@pytest.mark.parametrize("wrong", [{"hyperparameters": {"Bad Name": 1}}, {"preprocessing": ["x" * 129]}])
def test_provenance_out_of_bounds_is_a_typed_error(wrong: Any) -> None:
    with pytest.raises(ModelError) as caught:
        provenance(**wrong)
    assert caught.value.code == "provenance.invalid"


def test_code_is_named_by_its_content(tmp_path: Path) -> None:
    path = tmp_path / "train.py"
    path.write_text("a = 1\n")
    first = code_version(path)
    path.write_text("a = 2\n")
    assert first.startswith("sha256:")
    assert code_version(path) != first
    assert len(first) <= 128
