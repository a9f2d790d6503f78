"""A random forest on the features of a network.

CNN-RF: Banerjee, APCIT 2024. Our reading, from its abstract and the settings that are quoted: 300 trees, the square
root of the number of features at each split, classes balanced.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from lightdet.core.errors import LightdetError, demand_whole
from lightdet.nn.forest import Forest, Tree
from lightdet.readout.contract import BALANCED, Readout

MAX_FEATURES = ("sqrt", "log2", None)


class RandomForest(Readout):
    """Features (B, D) -> the logarithm of the forest's probabilities (B, C).

    `trees` are grown by scikit-learn on bootstrap samples of the training images, each to at most `max_leaves` leaves,
    the most useful split first; `max_features`: how many are tried at a split, "sqrt", "log2" or null (all). Differs:
    the number of leaves is bounded, so that a model has its size before it is fitted.
    """

    differentiable = False

    def __init__(
        self,
        features: int,
        num_classes: int,
        trees: int = 300,
        max_leaves: int = 256,
        max_features: str | None = "sqrt",
        class_weight: str | None = BALANCED,
    ) -> None:
        super().__init__(num_classes, class_weight)
        demand_whole("model.network.readout.trees", trees, 1)
        demand_whole("model.network.readout.max_leaves", max_leaves, 2)
        if max_features not in MAX_FEATURES:
            raise LightdetError(f"model.network.readout.max_features={max_features}: one of sqrt, log2, null")
        self.trees = trees
        self.max_features = max_features
        self.forest = Forest(features, num_classes, trees, max_leaves)

    def forward(self, features: Tensor) -> Tensor:
        probabilities = self.forest(features)
        return probabilities.clamp(min=torch.finfo(probabilities.dtype).tiny).log()

    def learn(self, features: np.ndarray, labels: np.ndarray, seed: int) -> str:
        from sklearn.ensemble import RandomForestClassifier  # slow, and only a training needs it

        grown = RandomForestClassifier(
            self.trees,
            max_features=self.max_features,
            max_leaf_nodes=self.forest.max_leaves,
            class_weight=self.class_weight,
            random_state=seed,
        ).fit(features, labels)
        trees = [self._tree(one.tree_, grown.classes_) for one in grown.estimators_]
        self.forest.fill(trees, grown.feature_importances_)
        leaves = [one.tree_.n_leaves for one in grown.estimators_]
        full = sum(count == self.forest.max_leaves for count in leaves)
        limited = f", {full} of them cut short at max_leaves={self.forest.max_leaves}" if full else ""
        return (
            f"random forest of {self.trees} trees on {features.shape[1]} features of {len(labels)} images, "
            f"{np.mean(leaves):.0f} leaves each{limited}"
        )

    def loaded(self) -> None:
        super().loaded()
        self.forest.check()

    def _tree(self, tree: Any, classes: np.ndarray) -> Tree:
        feature, left = tree.feature, tree.children_left
        leaf, own = left < 0, np.arange(len(left))
        value = tree.value[:, 0, :]
        return Tree(
            feature=np.where(leaf, 0, feature).astype(np.int32),
            threshold=_not_above(np.where(leaf, 0.0, tree.threshold)),
            left=np.where(leaf, own, left).astype(np.int32),
            right=np.where(leaf, own, tree.children_right).astype(np.int32),
            shares=self.probabilities_of(classes, value / value.sum(axis=1, keepdims=True)),
            depth=int(tree.max_depth),
        )


def _not_above(thresholds: np.ndarray) -> np.ndarray:
    """The greatest float32 that is not above each float64: a float32 is not above one exactly where it is not above the
    other, so samples go the same way as in scikit-learn."""
    nearest = thresholds.astype(np.float32)
    return np.where(nearest > thresholds, np.nextafter(nearest, np.float32(-np.inf)), nearest)
