"""Logistic regression on the features of a network: the linear layer that fits them best, found in one step."""

import warnings

import numpy as np
import torch
from torch import Tensor

from lightdet.core.errors import LightdetError
from lightdet.readout.contract import Readout

STEPS = 2000  # of the solver, at most
NEVER = -80.0  # the bias of a class without training images


class Logistic(Readout):
    """Features (B, D) -> logits (B, C).

    Multinomial logistic regression by scikit-learn on standardised features, whose mean and standard deviation are then
    part of the weights. `penalty` > 0: of the squared weights, against the sum of the images' losses. A class without
    training images is never predicted. Raises LightdetError for images of a single class.
    """

    weight: Tensor  # (C, D)
    bias: Tensor  # (C,)

    def __init__(self, features: int, num_classes: int, penalty: float = 1.0, class_weight: str | None = None) -> None:
        super().__init__(num_classes, class_weight)
        if isinstance(penalty, bool) or not isinstance(penalty, int | float) or not penalty > 0:
            raise LightdetError(f"model.network.readout.penalty={penalty}: give a number above 0")
        self.penalty = penalty
        self.register_buffer("weight", torch.zeros(num_classes, features))
        self.register_buffer("bias", torch.zeros(num_classes))

    def forward(self, features: Tensor) -> Tensor:
        return torch.nn.functional.linear(features.float(), self.weight, self.bias)

    def learn(self, features: np.ndarray, labels: np.ndarray, seed: int) -> str:
        from sklearn.exceptions import ConvergenceWarning  # slow, and only a training needs it
        from sklearn.linear_model import LogisticRegression

        if len(np.unique(labels)) < 2:
            raise LightdetError("readout=logistic: all training images are of one class; there must be two")
        wide = features.astype(np.float64)
        mean, deviation = wide.mean(axis=0), wide.std(axis=0)
        deviation[deviation == 0] = 1.0  # a feature that never changes gets no weight
        solver = LogisticRegression(C=1 / self.penalty, class_weight=self.class_weight, max_iter=STEPS)
        with warnings.catch_warnings(record=True) as noticed:
            warnings.simplefilter("always", ConvergenceWarning)
            solver.fit((wide - mean) / deviation, labels)
        found, bias = solver.coef_, solver.intercept_
        if len(found) == 1:  # of two classes the logit of the second against the first
            found, bias = np.concatenate((0 * found, found)), np.concatenate((0 * bias, bias))
        found = found / deviation
        self.weight.zero_()
        self.bias.fill_(NEVER)
        present = torch.from_numpy(solver.classes_).long()
        self.weight[present] = torch.from_numpy(found).to(self.weight)
        self.bias[present] = torch.from_numpy(bias - found @ mean).to(self.bias)
        unsettled = f"; not settled after {STEPS} steps" if noticed else ""
        return f"logistic regression on {features.shape[1]} features of {len(labels)} images{unsettled}"
