"""Train a digit classifier with TensorFlow, then register data set and model on a Guildmark network.

    python examples/train_and_register_digits.py --train-only
    python examples/train_and_register_digits.py --node http://127.0.0.1:8080 --wallet DIR --account NAME

Adapt `load_data`, `build_model` and the numbers below to your own work; `register` stays much the same. See README.md.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import guildmark
from guildmark.models.provenance import code_version, provenance
from guildmark.wallet import passphrase_from_environment
from ledger.modules.assets.operations import Derivation

SEED = 7
BATCH_SIZE = 32
EPOCHS = 10
LEARNING_RATE = 0.001

PREPROCESSING = [
    "feature scaling: pixels from 0..16 to 0..1",
    "normalization: mean 0 and variance 1 over the training images",
    "augmentation: rotation, shift and zoom",
]


def load_data() -> dict[str, np.ndarray]:
    """Split 1,797 handwritten digits of 8 x 8 pixels; a fifth is held out."""
    digits = load_digits()
    images = digits.images.astype(np.uint8)[..., np.newaxis]
    labels = digits.target.astype(np.uint8)
    parts = train_test_split(images, labels, test_size=0.2, random_state=0, stratify=labels)
    return dict(zip(("x_train", "x_test", "y_train", "y_test"), parts, strict=True))


def build_model(images: np.ndarray) -> tuple[list[keras.Layer], keras.Sequential]:
    """Return the layers that scale and normalize raw pixels, and the network behind them."""
    scaled = images / 16.0
    preprocessing = [
        keras.layers.Rescaling(1 / 16.0),
        keras.layers.Normalization(axis=None, mean=float(scaled.mean()), variance=float(scaled.var())),
    ]
    for layer in preprocessing:
        layer.build(images.shape)  # here, because the input pipeline is a graph of its own
    network = keras.Sequential(
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
    return preprocessing, network


def input_pipeline(data: dict[str, np.ndarray], preprocessing: list[keras.Layer]) -> tf.data.Dataset:
    """Shuffle, batch, augment, scale and normalize the training images."""
    augmentation = [
        keras.layers.RandomRotation(0.05, fill_mode="constant", seed=SEED),
        keras.layers.RandomTranslation(0.08, 0.08, fill_mode="constant", seed=SEED + 1),
        keras.layers.RandomZoom(0.1, fill_mode="constant", seed=SEED + 2),
    ]

    def prepare(images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        images = tf.cast(images, tf.float32)
        for layer in augmentation:
            images = layer(images, training=True)
        for layer in preprocessing:
            images = layer(images)
        return images, labels

    examples = tf.data.Dataset.from_tensor_slices((data["x_train"], data["y_train"]))
    return examples.shuffle(len(data["y_train"]), seed=SEED).batch(BATCH_SIZE).map(prepare).prefetch(1)


def train(directory: Path) -> tuple[Path, Path, int]:
    """Write `digits.npz` and `digits.keras`; return both paths and the accuracy in parts per million."""
    keras.utils.set_random_seed(SEED)
    data = load_data()
    dataset_path, model_path = directory / "digits.npz", directory / "digits.keras"
    np.savez_compressed(dataset_path, **data)

    preprocessing, network = build_model(data["x_train"])
    network.compile(
        optimizer=keras.optimizers.Adam(LEARNING_RATE),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    network.fit(input_pipeline(data, preprocessing), epochs=EPOCHS)

    # What is registered takes raw pixels, so that a buyer needs nothing but the file.
    model = keras.Sequential([keras.Input((8, 8, 1)), *preprocessing, *network.layers])
    model.save(model_path, include_optimizer=False)

    # Counted, not averaged: an integer is the same on every machine.
    predicted = model.predict(data["x_test"], verbose=0).argmax(axis=-1)
    correct = int((predicted == data["y_test"]).sum())
    print(f"{correct} of {len(predicted)} held-out digits are right")
    return dataset_path, model_path, correct * 1_000_000 // len(predicted)


def register(client: guildmark.Client, dataset_path: Path, model_path: Path, accuracy_ppm: int) -> None:
    """Register the data set, then the model as derived from it. Each takes a commitment, its reveal, and an upload."""
    dataset = client.assets.register(
        dataset_path,
        kind="dataset",
        name="Handwritten digits",
        description="1,797 images of 8 x 8 pixels (UCI, Optical Recognition of Handwritten Digits)",
        tags=["images", "digits"],
    )
    print(f"data set {dataset.asset}, CID {dataset.cid}")

    model = client.assets.register(
        model_path,
        kind="model",
        name="Digit classifier",
        tags=["classification", "keras"],
        provenance=provenance(
            hyperparameters={
                "batch_size": BATCH_SIZE,
                "epochs": EPOCHS,
                "learning_rate": LEARNING_RATE,
                "seed": SEED,
                "library.tensorflow": tf.__version__,
                "library.keras": keras.__version__,
            },
            preprocessing=PREPROCESSING,
            metrics_ppm={"accuracy": accuracy_ppm},
            # Whoever may download both can measure it again: `guildmark model evaluate MODEL --dataset DATASET`.
            measured_on=(dataset.asset, dataset.version),
            code_version=code_version(Path(__file__)),
            # Both belong to this account. For someone else's data set, name the grant that allows training:
            # Derivation(parent, "train-on", grant=bytes.fromhex(...)).
            derivations=[Derivation(bytes.fromhex(dataset.asset), "train-on")],
        ),
    )
    print(f"model {model.asset}, CID {model.cid}, registered at height {model.height}")
    client.artifacts.wait_held(model.cid)
    print("a quorum of validators holds it: licenses can be sold")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--directory", type=Path, default=Path("digits"), help="where data set and model are written")
    parser.add_argument("--train-only", action="store_true", help="do not touch a network")
    parser.add_argument("--node", action="append", default=[], metavar="URL", help="a node's API; may be repeated")
    parser.add_argument("--wallet", type=Path, help="directory of key files")
    parser.add_argument("--account", help="name of the key that registers")
    options = parser.parse_args()
    if not options.train_only and not (options.node and options.wallet and options.account):
        parser.error("--node, --wallet and --account are needed to register; or say --train-only")

    account = None
    if not options.train_only:
        # Before the training, so that a wrong passphrase costs no time.
        passphrase = passphrase_from_environment(options.wallet)
        if passphrase is None:
            parser.error("set GUILDMARK_PASSPHRASE or GUILDMARK_PASSPHRASE_FILE")
        account = guildmark.Wallet(options.wallet).open(options.account, passphrase)

    options.directory.mkdir(parents=True, exist_ok=True)
    dataset_path, model_path, accuracy_ppm = train(options.directory)
    if account is not None:
        with guildmark.Client(options.node, account) as client:
            register(client, dataset_path, model_path, accuracy_ppm)


if __name__ == "__main__":
    main()
