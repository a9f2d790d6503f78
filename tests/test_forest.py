"""A forest as tensors gives what scikit-learn gives, in torch and in ONNX, and refuses tables that lead nowhere."""

from pathlib import Path

import numpy as np
import pytest
import torch

from lightdet.core.errors import LightdetError
from lightdet.nn.backend import export, onnx_call
from lightdet.nn.forest import Forest, Tree
from lightdet.readout.contract import Readout
from lightdet.readout.forest import RandomForest
from lightdet.readout.logistic import Logistic

ensemble = pytest.importorskip("sklearn.ensemble", reason="the extra forest is not installed")
D, C = 12, 4


def drawn(images: int, seed: int = 0, classes: int = C) -> tuple[np.ndarray, np.ndarray]:
    """Features of overlapping classes, many of them with few different values, so that samples lie on thresholds."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, images)
    features = generator.normal(0, 1.5, (images, D)) + labels[:, None] * np.linspace(0, 1, D)
    features[:, ::2] = features[:, ::2].round(1)
    return features.astype(np.float32), labels


def fitted(readout: Readout, features: np.ndarray, labels: np.ndarray, seed: int = 0) -> Readout:
    readout.fit(torch.from_numpy(features), torch.from_numpy(labels), seed)
    return readout


def probabilities(readout: Readout, features: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return readout(torch.from_numpy(features)).softmax(dim=1).numpy()


def test_a_tree_by_hand() -> None:
    """Feature 1 up to 0.5: the first class; above it feature 0 up to 2: half and half, else the second class."""
    forest = Forest(features=2, num_classes=2, trees=1, max_leaves=4)
    tree = Tree(
        feature=np.array([1, 0, 0, 0, 0]),
        threshold=np.array([0.5, 0, 2, 0, 0], dtype=np.float32),
        left=np.array([1, 1, 3, 3, 4]),
        right=np.array([2, 1, 4, 3, 4]),
        shares=np.array([[0.5, 0.5], [1, 0], [0.2, 0.8], [0.5, 0.5], [0, 1]]),
        depth=2,
    )
    forest.fill([tree], np.array([0.3, 0.7]))
    samples = torch.tensor([[9.0, 0.5], [2.0, 0.6], [2.1, 0.6]])
    assert forest(samples).tolist() == [[1, 0], [0.5, 0.5], [0, 1]]


@pytest.mark.parametrize("max_leaves", [2, 16, 400])
def test_it_gives_the_probabilities_of_scikit_learn(max_leaves: int) -> None:
    features, labels = drawn(300)
    ours = fitted(RandomForest(D, C, trees=40, max_leaves=max_leaves), features, labels, seed=3)
    settings = {"max_features": "sqrt", "class_weight": "balanced", "max_leaf_nodes": max_leaves, "random_state": 3}
    theirs = ensemble.RandomForestClassifier(40, **settings).fit(features, labels)
    for images in (features, drawn(500, seed=1)[0]):
        np.testing.assert_allclose(probabilities(ours, images), theirs.predict_proba(images), atol=1e-6)
    assert isinstance(ours, RandomForest)
    np.testing.assert_allclose(ours.forest.importance, theirs.feature_importances_, rtol=1e-6)


def test_a_threshold_is_never_rounded_up() -> None:
    """A float32 is compared with a float64 there; halfway between two neighbours the nearest float32 is the upper."""
    low = np.nextafter(np.float32(4), np.float32(5))
    high = np.nextafter(low, np.float32(5))
    features = np.zeros((40, 1), dtype=np.float32)
    features[:, 0] = [low, high] * 20
    labels = np.array([0, 1] * 20)
    ours = fitted(RandomForest(1, 2, trees=5, max_leaves=2), features, labels)
    np.testing.assert_allclose(probabilities(ours, features)[:, 1], labels, atol=1e-6)


def test_a_class_without_training_images_gets_nothing() -> None:
    features, labels = drawn(200, classes=3)
    labels[labels == 1] = 3
    for readout in (RandomForest(D, C, trees=10), Logistic(D, C)):
        found = probabilities(fitted(readout, features, labels), features)
        assert found[:, 1].max() < 1e-12 and found[:, 3].max() > 0.5


def test_the_same_seed_grows_the_same_forest() -> None:
    features, labels = drawn(200)
    first, again, other = (
        fitted(RandomForest(D, C, trees=5), features, labels, seed).state_dict() for seed in (1, 1, 2)
    )
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["forest.threshold"], other["forest.threshold"])


@pytest.mark.parametrize("classes", [2, 4])
def test_logistic_regression_gives_the_probabilities_of_scikit_learn(classes: int) -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    features, labels = drawn(300, classes=classes)
    features[:, 3] = 7.0
    ours = fitted(Logistic(D, classes, penalty=0.5), features, labels)
    theirs = make_pipeline(StandardScaler(), LogisticRegression(C=2.0, max_iter=2000)).fit(features, labels)
    np.testing.assert_allclose(probabilities(ours, features), theirs.predict_proba(features), atol=1e-4)


def test_what_is_saved_is_loaded_and_can_be_forgotten() -> None:
    features, labels = drawn(200)
    for build in (lambda: RandomForest(D, C, trees=10, max_leaves=32), lambda: Logistic(D, C)):
        first, second = fitted(build(), features, labels), build()
        assert not second.fitted
        second.load_state_dict(first.state_dict())
        assert second.fitted
        np.testing.assert_array_equal(probabilities(first, features), probabilities(second, features))
        second.forget()
        assert not second.fitted and not second.is_fitted


@pytest.mark.parametrize(("table", "value"), [("left", 999), ("right", -1), ("feature", D), ("depth", 10**12)])
def test_tables_that_lead_nowhere_are_refused(table: str, value: int) -> None:
    features, labels = drawn(100)
    tables = fitted(RandomForest(D, C, trees=3, max_leaves=8), features, labels).state_dict()
    tables[f"forest.{table}"].view(-1)[0] = value
    with pytest.raises(LightdetError, match="the forest of this model"):
        RandomForest(D, C, trees=3, max_leaves=8).load_state_dict(tables)


def test_settings_and_data_that_cannot_be_fitted_are_one_line() -> None:
    features, labels = drawn(50)
    for build, said in (
        (lambda: RandomForest(D, C, trees=0), "model.network.readout.trees=0"),
        (lambda: RandomForest(D, C, max_leaves=1), "model.network.readout.max_leaves=1"),
        (lambda: RandomForest(D, C, max_features="most"), "model.network.readout.max_features=most"),
        (lambda: RandomForest(D, C, class_weight="even"), "model.network.readout.class_weight=even: one of null"),
        (lambda: Logistic(D, C, penalty=0), "model.network.readout.penalty=0"),
        (lambda: fitted(Logistic(D, C), features, 0 * labels), "of one class"),
        (lambda: fitted(Logistic(D, C), features * np.nan, labels), "not finite"),
    ):
        with pytest.raises(LightdetError, match=said):
            build()


def test_an_exported_forest_answers_the_same(tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="the extra export is not installed")
    pytest.importorskip("onnxruntime", reason="the extra export is not installed")
    features, labels = drawn(300)
    readout = fitted(RandomForest(D, C, trees=30), features, labels).eval()
    asked = drawn(64, seed=2)[0]
    call = onnx_call(export(readout, torch.from_numpy(asked), tmp_path), torch.from_numpy(asked), threads=1)
    np.testing.assert_allclose(np.exp(call()[0]), probabilities(readout, asked), atol=1e-6)


def test_it_agrees_with_the_converter_for_scikit_learn() -> None:
    skl2onnx = pytest.importorskip("skl2onnx", reason="skl2onnx is not installed")
    runtime = pytest.importorskip("onnxruntime", reason="the extra export is not installed")
    features, labels = drawn(300)
    settings = {"max_features": "sqrt", "class_weight": "balanced", "max_leaf_nodes": 256, "random_state": 0}
    grown = ensemble.RandomForestClassifier(30, **settings).fit(features, labels)
    file = skl2onnx.to_onnx(grown, features[:1], options={"zipmap": False}).SerializeToString()
    theirs = runtime.InferenceSession(file).run(None, {"X": features})[1]
    ours = fitted(RandomForest(D, C, trees=30), features, labels)
    np.testing.assert_allclose(probabilities(ours, features), theirs, atol=1e-6)
