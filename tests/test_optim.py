"""What decays, how the rate moves, and that one pass over the parameters is the same update."""

import copy
import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from hydra.utils import instantiate
from torch import nn

from lightdet.config.compose import compose_config
from lightdet.nn.blocks import ConvBnAct
from lightdet.optim.groups import parameter_groups
from lightdet.optim.kernel import use_fused_kernel
from lightdet.optim.muon import Muon, orthogonal
from lightdet.optim.schedule import WarmupCosine


def test_weights_decay_and_biases_norms_and_gates_do_not() -> None:
    model = nn.Module()
    model.block, model.out, model.gate = ConvBnAct(3, 4, 3), nn.Conv2d(4, 2, 1), nn.Parameter(torch.zeros(1))
    model.frozen = nn.Parameter(torch.zeros(1), requires_grad=False)
    decaying, other = (group["params"] for group in parameter_groups(model))
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    assert {names[id(each)] for each in decaying} == {"block.conv.weight", "out.weight"}
    assert {names[id(each)] for each in other} == {"gate", "block.norm.weight", "block.norm.bias", "out.bias"}


def test_the_recipe_of_yolov5_steps_as_yolov5_does() -> None:
    """There the loss is a sum over 64 images, with lr 0.01 and weight decay 0.0005; here it is their mean."""
    settings = compose_config(["model=yolov5n", "recipe=yolov5"])
    assert settings.trainer.clip_norm is None
    ours, theirs = torch.ones(3, requires_grad=True), torch.ones(3, requires_grad=True)
    here = instantiate(settings.optimizer)([ours])
    there = torch.optim.SGD([theirs], lr=0.01, momentum=0.937, nesterov=True, weight_decay=0.0005)
    images = torch.arange(64 * 3).reshape(64, 3) / 100
    for _ in range(5):
        for weights, step, total in ((ours, here, torch.mean), (theirs, there, torch.sum)):
            step.zero_grad()
            total(((images * weights).sum(dim=1) - 1) ** 2 * 1e-4).backward()
            step.step()
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
    assert (ours - 1).abs().max() > 0.005, "it moved"


def test_a_table_with_two_dimensions_is_no_matrix_to_muon() -> None:
    """As in timm's transformers, whose position biases are one: AdamW's first step is the sign of the gradient."""
    model = nn.Module()
    model.linear, model.table = nn.Linear(3, 4, bias=False), nn.Parameter(torch.zeros(5, 4))
    gradient = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    model.linear.weight.grad, model.table.grad = torch.ones(4, 3), gradient.clone()
    before = model.linear.weight.detach().clone()
    Muon(parameter_groups(model), lr=0.1).step()
    torch.testing.assert_close(model.table.detach(), -0.1 * gradient.sign(), rtol=1e-4, atol=1e-5)
    assert not torch.equal(model.linear.weight, before)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        (torch.optim.AdamW, {"lr": 0.01, "weight_decay": 0.05}),
        (torch.optim.SGD, {"lr": 0.01, "momentum": 0.9}),
        (Muon, {"lr": 0.01, "weight_decay": 0.05}),
    ],
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


def test_orthogonalizing_keeps_the_directions_and_levels_their_lengths() -> None:
    torch.manual_seed(0)
    for rows, columns in ((6, 40), (40, 6), (12, 12)):
        left, _, right = torch.linalg.svd(torch.randn(3, rows, columns, dtype=torch.float64), full_matrices=False)
        lengths = torch.logspace(0, -1.5, min(rows, columns), dtype=torch.float64)
        levelled = orthogonal((left * lengths) @ right)
        assert levelled.dtype == torch.float32 and levelled.shape == (3, rows, columns)
        answer = left.mT @ levelled.double() @ right.mT  # in the frame of the singular vectors: diagonal
        assert (answer.diagonal(dim1=-2, dim2=-1) - 1).abs().max() < 0.2
        off = answer - torch.diag_embed(answer.diagonal(dim1=-2, dim2=-1))
        assert off.abs().max() < 1e-3
    assert not orthogonal(torch.zeros(1, 4, 5)).any()


def test_muon_is_that_of_timm_on_matrices_and_adamw_on_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    other = pytest.importorskip("timm.optim.muon", reason="older timm has none")
    defaults = (other.MUON_EPS, 1.0, torch.float32, False)  # it calculates in bfloat16 otherwise
    monkeypatch.setattr(other.zeropower_via_newtonschulz, "__defaults__", defaults)
    torch.manual_seed(0)
    start = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3, groups=8), nn.Conv2d(8, 4, 3))
    gradients = [[torch.randn_like(parameter) for parameter in start.parameters()] for _ in range(3)]

    def trained(kind: type[torch.optim.Optimizer], **settings: Any) -> list[torch.Tensor]:
        model = copy.deepcopy(start)
        optimizer = kind(parameter_groups(model), lr=0.01, weight_decay=0.1, betas=(0.9, 0.99), **settings)
        for step in gradients:
            for parameter, gradient in zip(model.parameters(), step, strict=True):
                parameter.grad = gradient.clone()
            optimizer.step()
        return [parameter.detach() for parameter in model.parameters()]

    ours, adamw = trained(Muon, momentum=0.9), trained(torch.optim.AdamW)
    theirs = trained(other.Muon, momentum=0.9, nesterov=True)
    for index in (0, 4):  # the weights of the first and the last, which mix their inputs
        assert torch.allclose(ours[index], theirs[index], atol=1e-5)
        assert not torch.allclose(ours[index], adamw[index], atol=1e-3)
    for index in (1, 2, 3, 5):  # biases, and the depthwise weight
        assert torch.equal(ours[index], adamw[index])
