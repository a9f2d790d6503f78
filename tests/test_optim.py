"""What decays, how the rate moves, and that one pass over the parameters is the same update."""

import copy
import math
from itertools import pairwise

import pytest
import torch
from torch import nn

from lightdet.nn.blocks import ConvBnAct
from lightdet.optim.fused import use_fused_kernel
from lightdet.optim.groups import parameter_groups
from lightdet.optim.schedule import WarmupCosine


def test_weights_decay_and_biases_norms_and_gates_do_not() -> None:
    model = nn.Module()
    model.block, model.out, model.gate = ConvBnAct(3, 4, 3), nn.Conv2d(4, 2, 1), nn.Parameter(torch.zeros(1))
    model.frozen = nn.Parameter(torch.zeros(1), requires_grad=False)
    decaying, other = (group["params"] for group in parameter_groups(model))
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    assert {names[id(each)] for each in decaying} == {"block.conv.weight", "out.weight"}
    assert {names[id(each)] for each in other} == {"gate", "block.norm.weight", "block.norm.bias", "out.bias"}


@pytest.mark.parametrize(
    ("kind", "settings"),
    [(torch.optim.AdamW, {"lr": 0.01, "weight_decay": 0.05}), (torch.optim.SGD, {"lr": 0.01, "momentum": 0.9})],
)
def test_the_fused_kernel_makes_the_same_update_and_goes_on_after_a_resume(
    kind: type[torch.optim.Optimizer], settings: dict[str, float]
) -> None:
    torch.manual_seed(0)
    start = nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3))
    x = torch.randn(8, 5)

    def trained(fused: bool, resumed_at: int | None = None) -> nn.Module:
        model = copy.deepcopy(start)
        optimizer = kind(parameter_groups(model), **settings)
        if fused:
            use_fused_kernel(optimizer)
            assert all(group["fused"] for group in optimizer.param_groups)
        for step in range(6):
            if step == resumed_at:
                state = copy.deepcopy(optimizer.state_dict())
                optimizer = kind(parameter_groups(model), **settings)
                use_fused_kernel(optimizer)
                optimizer.load_state_dict(state)
            optimizer.zero_grad()
            model(x).square().mean().backward()
            optimizer.step()
        return model

    for one, other in zip(trained(True).parameters(), trained(False).parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-6) and not torch.equal(one, torch.zeros_like(one))
    for one, other in zip(trained(True).parameters(), trained(True, resumed_at=3).parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_setting_of_somebody_is_kept_and_an_optimizer_without_a_kernel_works() -> None:
    weight = nn.Parameter(torch.zeros(1))
    for optimizer in (
        torch.optim.AdamW([weight], foreach=True),
        torch.optim.AdamW([weight], fused=False),
        torch.optim.Rprop([weight]),
    ):
        use_fused_kernel(optimizer)
        assert not any(group.get("fused") for group in optimizer.param_groups)


def test_the_rate_rises_in_a_line_and_falls_along_a_cosine() -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=2.0)
    schedule = WarmupCosine(warmup_epochs=2, final_share=0.1)(optimizer, 5, 50)  # 5 steps an epoch, 50 in all
    rates = []
    for _ in range(50):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates[:10] == pytest.approx([0.2 * (step + 1) for step in range(10)])
    assert rates[10] == pytest.approx(2.0), "the peak"
    assert rates[20] == pytest.approx(2.0 * (0.1 + 0.9 * (1 + math.cos(math.pi / 4)) / 2)), "a quarter of the way down"
    assert rates[30] == pytest.approx(2.0 * 0.55), "half way"
    assert all(later < sooner for sooner, later in pairwise(rates[10:]))
    assert 0.2 < rates[49] < 0.21
