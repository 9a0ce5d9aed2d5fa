"""Train a small convolutional network on handwritten digits. Runs confined (`guildmark.models.training`).

`digits_training REQUEST`, REQUEST being JSON with `seed`, `epochs`, `batch_size`, `learning_rate`. Writes into its
working directory `dataset.npz`, `model.keras` and `facts.json`, and one JSON line on stdout for every step of the
way.

The 1,797 images of 8 x 8 pixels come with scikit-learn (UCI, Optical Recognition of Handwritten Digits). Every fifth
image of a class is held out; the split does not depend on the seed, so all versions of the model are measured alike.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np

from guildmark.models.dataset import Array, write_dataset
from guildmark.models.scoring import accuracy_ppm, count_correct

PIXEL_MAX: Final = 16.0
"""The images have 17 levels of gray, 0 to 16."""
HELD_OUT_EVERY: Final = 5
PREPROCESSING: Final = (
    "feature scaling: pixels from 0..16 to 0..1",
    "normalization: mean 0 and variance 1 over the training images",
    "augmentation: rotation up to 18 degrees",
    "augmentation: shift up to 8 % of the width and height",
    "augmentation: zoom up to 10 %",
)
LIBRARIES_MISSING: Final = 4
"""Exit status."""
LIBRARIES: Final = ("keras", "numpy", "scikit-learn")


def main() -> int:
    """Train, save, measure the saved file, and say so."""
    request: dict[str, Any] = json.loads(sys.argv[1])
    missing = [name for name in ("tensorflow", "keras", "sklearn") if find_spec(name) is None]
    if missing:
        sys.stderr.write(f"not installed: {', '.join(missing)}; install guildmark[tensorflow]\n")
        return LIBRARIES_MISSING
    started = time.monotonic()
    tell("started")
    arrays = load_arrays()
    write_dataset(Path("dataset.npz"), arrays)
    tell("dataset", train=len(arrays["x_train"]), test=len(arrays["x_test"]))

    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(int(request["seed"]))
    tf.config.experimental.enable_op_determinism()
    tell("ready", tensorflow=tf.__version__, keras=keras.__version__)
    scale = scaling_layers(arrays["x_train"])
    network = make_network()
    pipeline = make_pipeline(arrays, scale, int(request["seed"]), int(request["batch_size"]))
    network.compile(
        optimizer=keras.optimizers.Adam(learning_rate=float(request["learning_rate"])),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    epochs = int(request["epochs"])
    network.fit(pipeline, epochs=epochs, verbose=0, callbacks=[progress_callback(epochs)])
    # The saved model takes raw pixels: scaling and normalization go with it, augmentation does not.
    model = keras.Sequential([keras.Input((8, 8, 1)), *scale, *network.layers], name="digits")
    model.save("model.keras", include_optimizer=False)
    tell("saved")
    saved = keras.saving.load_model("model.keras", compile=False)
    correct, total = count_correct(saved, arrays["x_test"], arrays["y_test"]), len(arrays["y_test"])
    facts = {
        "correct": correct,
        "total": total,
        "accuracy_ppm": accuracy_ppm(correct, total),
        "train_examples": len(arrays["y_train"]),
        "parameters": int(saved.count_params()),
        "hyperparameters": {
            "seed": str(request["seed"]),
            "epochs": str(epochs),
            "batch_size": str(request["batch_size"]),
            "learning_rate": str(request["learning_rate"]),
            "optimizer": "adam",
            "loss": "sparse_categorical_crossentropy",
        },
        "preprocessing": PREPROCESSING,
        "libraries": {"tensorflow": tf.__version__} | {name: version(name) for name in LIBRARIES},
        "elapsed_ms": int((time.monotonic() - started) * 1_000),
    }
    Path("facts.json").write_text(json.dumps(facts, indent=2))
    tell("trained", **facts)
    return 0


def load_arrays() -> dict[str, Array]:
    """Images as uint8 of shape (n, 8, 8, 1) and labels as uint8, split into `train` and `test`."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = digits.images.astype(np.uint8)[..., np.newaxis]
    labels = digits.target.astype(np.uint8)
    held_out = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        held_out[np.flatnonzero(labels == label)[::HELD_OUT_EVERY]] = True
    return {
        "x_train": images[~held_out],
        "y_train": labels[~held_out],
        "x_test": images[held_out],
        "y_test": labels[held_out],
    }


def scaling_layers(images: Array) -> list[Any]:
    """Feature scaling and normalization, with the figures of the training images alone."""
    import keras

    scaled = images.astype(np.float64) / PIXEL_MAX
    mean, variance = round(float(scaled.mean()), 6), round(float(scaled.var()), 6)
    layers = [
        keras.layers.Rescaling(1.0 / PIXEL_MAX, name="scaling"),
        keras.layers.Normalization(axis=None, mean=mean, variance=variance, name="normalization"),
    ]
    for layer in layers:
        layer.build(images.shape)  # here, because the input pipeline is a graph of its own
    return layers


def make_network() -> Any:
    """About 300,000 parameters, so that the saved file has several chunks.

    Takes scaled images of shape (8, 8, 1), answers ten probabilities.
    """
    import keras

    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(32, 3, padding="same", activation="relu"),
            keras.layers.Conv2D(32, 3, padding="same", activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(64, 3, padding="same", activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Flatten(),
            keras.layers.Dropout(0.25),
            keras.layers.Dense(1024, activation="relu"),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )


def make_pipeline(arrays: dict[str, Array], scale: list[Any], seed: int, batch_size: int) -> Any:
    """Shuffle, batch, augment, scale, normalize: the input pipeline of the training images."""
    import keras
    import tensorflow as tf

    background = {"fill_mode": "constant", "fill_value": 0.0}
    augment = [
        keras.layers.RandomRotation(0.05, seed=seed, **background),
        keras.layers.RandomTranslation(0.08, 0.08, seed=seed + 1, **background),
        keras.layers.RandomZoom(0.1, seed=seed + 2, **background),
    ]

    def prepare(images: Any, labels: Any) -> tuple[Any, Any]:
        images = tf.cast(images, tf.float32)
        for layer in augment:
            images = layer(images, training=True)
        for layer in scale:
            images = layer(images)
        return images, labels

    examples = tf.data.Dataset.from_tensor_slices((arrays["x_train"], arrays["y_train"]))
    examples = examples.shuffle(len(arrays["y_train"]), seed=seed, reshuffle_each_iteration=True)
    return examples.batch(batch_size).map(prepare).prefetch(1)


def progress_callback(epochs: int) -> Any:
    """Tell each epoch's end, for whoever draws a progress bar."""
    import keras

    def on_epoch_end(epoch: int, logs: dict[str, float]) -> None:
        tell("epoch", epoch=epoch + 1, epochs=epochs, loss=round(logs["loss"], 4), accuracy=round(logs["accuracy"], 4))

    make: Callable[..., Any] = keras.callbacks.LambdaCallback
    return make(on_epoch_end=on_epoch_end)


def tell(event: str, **facts: Any) -> None:
    """Write one progress line."""
    sys.stdout.write(json.dumps({"event": event, **facts}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
