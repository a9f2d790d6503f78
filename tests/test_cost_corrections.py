"""Weights of classes by cost, and outputs that are corrected after the training: each correction alone, by hand."""

import math
from typing import Any

import pytest
import torch
from test_classifier import classifier
from torch import Tensor, nn

from lightdet.callback.ema import Ema
from lightdet.core.errors import LightdetError
from lightdet.core.types import TrainingStats
from lightdet.loss.class_weights.costs import CostWeights
from lightdet.loss.class_weights.inverse_frequency import InverseFrequency
from lightdet.loss.cross_entropy import CrossEntropy
from lightdet.model.classifier import Classifier
from lightdet.model.trained_classes import TrainedClasses

STATS = TrainingStats(torch.zeros(0, 2), torch.tensor([30, 10]), ("dent", "scratch"))


class Given(nn.Module):
    """The same logits for every image."""

    num_classes = 2

    def __init__(self, *probabilities: float) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(probabilities).log())

    def forward(self, images: Tensor) -> Tensor:
        return self.logits.expand(len(images), -1)


def probabilities(model: Classifier) -> list[float]:
    (found,) = model.predict(torch.rand(1, 3, 8, 8))
    return found.probabilities.tolist()


def built(network: nn.Module, class_weights: Any = None, **settings: Any) -> Classifier:
    model = Classifier(network, CrossEntropy(0.0, class_weights), **settings)
    model.prepare(STATS)
    return model


def weights(costs: Any, imbalance: bool = False) -> list[float]:
    return CostWeights(costs, imbalance)(STATS).tolist()


def test_outputs_for_equally_frequent_classes_by_hand() -> None:
    # .6 / 30 and .4 / 10, normalised
    assert probabilities(built(Given(0.6, 0.4), adjust="balanced")) == pytest.approx([1 / 3, 2 / 3])
    assert probabilities(built(Given(0.6, 0.4))) == pytest.approx([0.6, 0.4])
    unseen = TrainedClasses(3)
    unseen.keep(torch.tensor([30, 0, 10]), None)
    relative = (unseen.for_equal_classes() - unseen.for_equal_classes()[0]).exp()
    assert relative.tolist() == pytest.approx([1, 1, 3])


@pytest.mark.parametrize("class_weights", [InverseFrequency(), CostWeights({"scratch": 7})])
def test_a_weighted_training_gives_back_the_frequencies_when_its_weights_are_divided_out(class_weights: Any) -> None:
    """Thirty images of a dent and ten of a scratch that look alike: .75 and .25 is what can be known."""
    network = Given(0.5, 0.5)
    model = built(network, class_weights, decision="cheapest")
    labels, optimizer = torch.tensor([0] * 30 + [1] * 10), torch.optim.LBFGS(network.parameters(), max_iter=50)

    def closure() -> float:
        optimizer.zero_grad()
        loss: Tensor = model.criterion(network(labels), labels)
        loss.backward()
        return loss.item()

    optimizer.step(closure)
    assert network.logits.softmax(0)[1] > 0.45, "the loss favours the rare class"
    assert probabilities(model) == pytest.approx([0.75, 0.25], abs=1e-3)
    model.decision = "probable"
    assert probabilities(model) == pytest.approx(network.logits.softmax(0).tolist())


def test_weights_by_cost_by_hand() -> None:
    assert weights({"scratch": 3}) == pytest.approx([0.5, 1.5])
    assert weights({"scratch": {"dent": 3}}) == pytest.approx([0.5, 1.5])
    # 1 x 30/30 and 3 x 30/10
    assert weights({"scratch": 3}, imbalance=True) == pytest.approx([0.2, 1.8])
    absent = TrainingStats(torch.zeros(0, 2), torch.tensor([30, 0, 10]), ("dent", "hole", "scratch"))
    assert CostWeights({"scratch": 3})(absent).tolist() == pytest.approx([0.5, 1, 1.5])


@pytest.mark.parametrize(
    ("costs", "said"),
    [
        (None, "'model.costs={dent: 10}'"),
        ({"hole": 3}, "hole is no class of the data"),
        ({"dent": 0}, "no mistake about dent costs anything"),
    ],
)
def test_costs_that_give_no_weights_are_refused(costs: Any, said: str) -> None:
    with pytest.raises(LightdetError) as refused:
        weights(costs)
    assert said in str(refused.value)


def test_weights_by_cost_are_those_of_the_costs_that_are_reported() -> None:
    model = classifier("model=light_classifier", "loss/class_weights=costs", "model.costs={scratch:3}", num_classes=2)
    assert model.prepare(STATS) == "class weights 0.50, 1.50"
    assert model.trained_classes.without_weights().tolist() == pytest.approx([-math.log(0.5), -math.log(1.5)])


def test_a_checkpoint_that_is_older_than_the_counts() -> None:
    new = built(Given(0.6, 0.4))
    state = new.state_dict()
    older = {name: value for name, value in state.items() if not name.startswith("trained_classes.")}
    assert len(older) == len(state) - 2
    for settings in ({"adjust": "balanced"}, {"decision": "cheapest", "class_weights": InverseFrequency()}):
        model = built(Given(0.5, 0.5), **settings)
        model.load_state_dict(older)
        with pytest.raises(LightdetError, match="older than the counts of classes in checkpoints"):
            probabilities(model)
    plain = Classifier(Given(0.5, 0.5), CrossEntropy(0.0))
    plain.load_state_dict(older)
    assert probabilities(plain) == pytest.approx([0.6, 0.4])
    plain.load_state_dict(state)
    assert plain.trained_classes.counts.tolist() == [30, 10]


def test_a_resumed_average_takes_what_its_checkpoint_lacks_from_the_model() -> None:
    average, task = Ema(0.9, 1), nn.Module()
    task.model = built(Given(0.6, 0.4))
    average.weights = {"network.logits": torch.zeros(2)}
    average.on_fit_start(None, task)  # type: ignore[arg-type]
    assert average.weights["trained_classes.counts"].tolist() == [30, 10]
    assert average.weights["network.logits"].tolist() == [0, 0]


def test_a_network_that_does_not_say_how_many_classes_it_has() -> None:
    with pytest.raises(LightdetError, match="Linear does not say its num_classes"):
        Classifier(nn.Linear(2, 2), CrossEntropy())
