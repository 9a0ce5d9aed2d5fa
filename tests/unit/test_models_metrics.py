"""Metrics are integers that counts alone decide, with bounds that hold whatever the order of additions."""

from __future__ import annotations

import io
import zipfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guildmark.models.errors import ModelRefused
from guildmark.models.metrics import METRICS, Class, Counts, Measured, mean, measure

np = pytest.importorskip("numpy")
dataset = pytest.importorskip("guildmark.models.dataset")
scoring = pytest.importorskip("guildmark.models.scoring")
resampling = pytest.importorskip("guildmark.models.resampling")


def count(scores: Any, labels: Any, groups: Any = None, batch: int = 7) -> Counts:
    scores, labels = np.asarray(scores, np.float32), np.asarray(labels, np.int64)
    groups = labels if groups is None else np.asarray(groups, np.int64)
    tally = scoring.Tally(scores.shape[1], int(groups.max()) + 1)
    for start in range(0, len(labels), batch):
        part = slice(start, start + batch)
        tally.add(scores[part], labels[part], groups[part])
    return tally.counts()


def one_hot(*classes: int) -> Any:
    return np.eye(3, dtype=np.float32)[list(classes)]


def test_the_metrics_are_those_of_the_textbook() -> None:
    """Six samples: class 0 has three (two right), class 1 two (one right), class 2 one (right); 0 and 1 swap one."""
    found = measure(count(one_hot(0, 0, 1, 1, 0, 2), [0, 0, 0, 1, 1, 2]))
    values = {name: item.value_ppm for name, item in found.items()}
    assert values == {
        "accuracy": 666_666,
        "top5-accuracy": 1_000_000,
        "balanced-accuracy": (2 * 1_000_000 // 3 + 500_000 + 1_000_000) // 3,
        "recall-macro": (2 * 1_000_000 // 3 + 500_000 + 1_000_000) // 3,
        "precision-macro": (2 * 1_000_000 // 3 + 500_000 + 1_000_000) // 3,
        "f1-macro": (2 * 1_000_000 // 3 + 500_000 + 1_000_000) // 3,
        "accuracy-gap": 500_000,
    }
    assert set(values) == set(METRICS)
    assert all(item.spread_ppm == 0 for item in found.values())


def test_precision_and_recall_differ_where_a_class_is_overrated() -> None:
    found = measure(count(one_hot(0, 0, 0, 1), [0, 1, 1, 1]))
    assert found["recall-macro"].value_ppm == (1_000_000 + 333_333) // 2
    assert found["precision-macro"].value_ppm == (333_333 + 1_000_000) // 2
    assert found["f1-macro"].value_ppm == 500_000


def test_a_class_without_samples_is_left_out_and_one_that_nobody_got_has_no_precision() -> None:
    found = measure(count(one_hot(0, 0), [0, 1]))
    assert found["balanced-accuracy"].value_ppm == 500_000
    assert found["precision-macro"].value_ppm == 250_000


def test_the_gap_is_between_groups_of_the_data_set() -> None:
    scores, labels = one_hot(0, 1, 2, 0, 0, 0), [0, 1, 2, 0, 1, 2]
    assert measure(count(scores, labels, [0, 0, 0, 1, 1, 1]))["accuracy-gap"].value_ppm == 666_666
    assert measure(count(scores, labels, [0, 0, 0, 0, 0, 0]))["accuracy-gap"].value_ppm == 0


def test_equal_scores_are_decided_by_the_index_and_counted_as_undecided() -> None:
    """M7: the first of equals wins, everywhere; that it was close is said."""
    counts = count([[0.5, 0.5, 0.0], [0.0, 0.5, 0.5]], [0, 2])
    assert counts.undecided == 2
    assert measure(counts)["accuracy"] == Measured(value_ppm=500_000, least_ppm=0, greatest_ppm=1_000_000)


def test_top_five_is_bounded_too() -> None:
    """M7."""
    scores = [[0.9, 0.8, 0.7, 0.6, 0.5, 0.5, 0.1]]
    assert measure(count(scores, [4]))["top5-accuracy"] == Measured(1_000_000, 0, 1_000_000)
    assert measure(count(scores, [5]))["top5-accuracy"] == Measured(0, 0, 1_000_000)
    assert measure(count(scores, [3]))["top5-accuracy"] == Measured(1_000_000, 1_000_000, 1_000_000)


@pytest.mark.parametrize("scores", [[[np.nan, 1.0]], [[np.inf, 1.0]], [[1.0, 2.0, 3.0]]])
def test_scores_that_are_no_numbers_or_too_many_are_refused(scores: Any) -> None:
    with pytest.raises(ModelRefused) as caught:
        scoring.Tally(2, 1).add(np.asarray(scores, np.float32), np.array([0]), np.array([0]))
    assert caught.value.code == "model.scores"


SHAPES = st.tuples(st.integers(1, 40), st.integers(2, 8), st.integers(0, 2**32 - 1))


@settings(deadline=None)
@given(SHAPES, st.sampled_from([1e-7, 1e-5, 1.2e-4]), st.integers(2, 60))
def test_whatever_noise_permits_lies_within_the_bounds(shape: tuple[int, int, int], noise: float, levels: int) -> None:
    """M7: a run with other sums, as far off as a run may be, gives a value within the bounds of the first, and the
    very same where these agree."""
    samples, classes, seed = shape
    chance = np.random.default_rng(seed)
    # Few levels make ties frequent, and what is added to them differences around the separation.
    exact = chance.integers(0, levels, (samples, classes)) / levels + chance.choice([0, 1e-4, 2e-4], (samples, classes))
    scores = exact.astype(np.float32)
    labels, groups = chance.integers(0, classes, samples), chance.integers(0, 3, samples)
    scale = np.abs(scores).max(axis=1, keepdims=True)
    moved = scores + chance.choice([-noise, noise], scores.shape) * scale
    first, second = measure(count(scores, labels, groups)), measure(count(moved, labels, groups, batch=3))
    for name, bounds in first.items():
        assert bounds.least_ppm <= bounds.value_ppm <= bounds.greatest_ppm
        assert bounds.least_ppm <= second[name].value_ppm <= bounds.greatest_ppm, name
    apart = np.abs(np.diff(np.sort(scores, axis=1), axis=1)).min(initial=1.0)
    if apart > 2 * scoring.SEPARATION:
        assert {name: item.value_ppm for name, item in first.items()} == {
            name: item.value_ppm for name, item in second.items()
        }
        assert all(item.spread_ppm == 0 for item in first.values())


@settings(deadline=None)
@given(SHAPES, st.integers(1, 50))
def test_batches_do_not_matter(shape: tuple[int, int, int], batch: int) -> None:
    """M7: counts are sums."""
    samples, classes, seed = shape
    chance = np.random.default_rng(seed)
    scores = chance.random((samples, classes), np.float32)
    labels = chance.integers(0, classes, samples)
    assert count(scores, labels, labels, batch) == count(scores, labels, labels, 1)


@given(st.lists(st.tuples(st.integers(0, 1_000), st.integers(1, 1_000)), max_size=60))
def test_a_mean_is_exact(ratios: list[tuple[int, int]]) -> None:
    assert mean(ratios) == (sum((Fraction(*ratio) for ratio in ratios), Fraction(0)) / len(ratios) if ratios else 0)


def test_a_mean_of_many_classes_stays_cheap() -> None:
    """Numbers of hundreds of digits, not of millions."""
    counts = Counts(
        samples=20_000 * 20_001 // 2,
        undecided=0,
        classes=tuple(Class(n, (n // 3,) * 3, (n // 5,) * 3) for n in range(1, 20_001)),
        top=(0, 0, 0),
        groups=(),
    )
    found = measure(counts)
    assert 333_000 < found["recall-macro"].value_ppm < 333_333


def test_noise_is_what_two_computations_differ_by() -> None:
    """M7."""
    one = np.array([[1.0, 0.5], [10.0, 0.0]], np.float32)
    assert scoring.noise_of(one, one) == 0.0
    assert scoring.noise_of(one, one + np.array([[0.25, 0.0], [0.0, 1.0]], np.float32)) == 0.25


def exact_resample(image: Any, height: int, width: int) -> list[Any]:
    """By fractions, pixel by pixel: the mean over the area, rounded to nearest, halves up."""
    rows, columns, channels = image.shape
    result = []
    for y in range(height):
        for x in range(width):
            top, bottom = Fraction(y * rows, height), Fraction((y + 1) * rows, height)
            left, right = Fraction(x * columns, width), Fraction((x + 1) * columns, width)
            for channel in range(channels):
                total = sum(
                    int(image[j, i, channel])
                    * max(Fraction(0), min(bottom, j + 1) - max(top, j))
                    * max(Fraction(0), min(right, i + 1) - max(left, i))
                    for j in range(rows)
                    for i in range(columns)
                )
                result.append(int(total / ((bottom - top) * (right - left)) + Fraction(1, 2)))
    return result


@settings(deadline=None, max_examples=40)
@given(st.tuples(*[st.integers(1, 7)] * 4), st.sampled_from([1, 3]), st.integers(0, 2**32 - 1))
def test_images_are_resampled_exactly(sizes: tuple[int, int, int, int], channels: int, seed: int) -> None:
    """M7: the mean over each pixel's area, in integers; no library decides how an image is shrunk or enlarged."""
    rows, columns, height, width = sizes
    image = np.random.default_rng(seed).integers(0, 256, (rows, columns, channels), np.uint8)
    found = resampling.resample(image, height, width)
    assert (found.shape, found.dtype) == ((height, width, channels), np.uint8)
    assert found.ravel().tolist() == exact_resample(image, height, width)


def test_the_largest_image_does_not_overflow() -> None:
    image = np.full((16_384, 8, 1), 255, np.uint8)
    assert set(resampling.resample(image, 3, 5).ravel().tolist()) == {255}


@pytest.mark.parametrize("shape", [(10**12,), (2**40, 2**40), (3,), (-1,)])
def test_an_array_that_claims_more_than_it_has_is_refused_before_it_is_made(tmp_path: Path, shape: Any) -> None:
    """M5: a shape bomb of some bytes."""
    data = io.BytesIO()
    np.lib.format.write_array_header_1_0(data, {"descr": "<f4", "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(tmp_path / "d.npz", "w") as file:
        file.writestr("x.npy", data.getvalue() + bytes(8))
    with pytest.raises(ModelRefused) as caught:
        dataset.read_arrays(tmp_path / "d.npz", ("x",))
    assert caught.value.code == "dataset.array"


def test_gray_of_gray_is_the_same() -> None:
    image = np.repeat(np.arange(256, dtype=np.uint8)[:, None, None], 3, axis=2)
    assert resampling.gray(image).ravel().tolist() == list(range(256))
    assert resampling.gray(np.array([[[255, 0, 0]]], np.uint8)).item() == 76
