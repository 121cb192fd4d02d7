"""Gradients that are not finite never reach the weights."""

import math

import pytest
import torch

from lightning_modules.callbacks.guard import GradientGuard, zero_unless_finite


def test_norms_are_remembered_in_order_and_no_more_of_them_than_asked():
    weight = torch.nn.Parameter(torch.zeros(2))
    guard, optimizer = GradientGuard(history=2), torch.optim.SGD([weight])
    for size in (1.0, 2.0, 3.0):
        weight.grad = torch.tensor([3.0 * size, 4.0 * size])
        guard.check(optimizer, has_scaler=False)
    assert guard.has_news
    assert guard.collect() == 3
    assert list(guard.norms) == [10.0, 15.0]
    assert not guard.has_news


def test_a_scaler_is_left_to_do_its_work():
    weight = torch.nn.Parameter(torch.zeros(2))
    weight.grad = torch.tensor([math.inf, 0.0])
    guard = GradientGuard()
    guard.check(torch.optim.SGD([weight]), has_scaler=True)
    assert weight.grad.tolist() == [math.inf, 0.0]
    assert (guard.collect(), list(guard.norms)) == (1, [math.inf])
    guard.check(torch.optim.SGD([weight]), has_scaler=False)
    assert weight.grad is None


@pytest.mark.parametrize(("value", "expected"), [(2.0, [2.0, 1.0]), (math.nan, [0.0, 0.0])])
def test_what_a_device_does_without_asking_the_host(value, expected):
    weights = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
    weights[0].grad, weights[1].grad = torch.tensor([value]), torch.tensor([1.0])
    zero_unless_finite(weights, torch.nn.utils.get_total_norm([weight.grad for weight in weights]))
    assert [weight.grad.item() for weight in weights] == expected


@pytest.mark.gpu
def test_on_a_gpu_the_device_itself_drops_what_is_not_finite():
    weight = torch.nn.Parameter(torch.ones(3, device="cuda"))
    optimizer, guard = torch.optim.SGD([weight], lr=1.0), GradientGuard()
    for gradient in ([1.0, 1.0, 1.0], [math.nan, 1.0, 1.0], [1.0, -math.inf, 1.0]):
        weight.grad = torch.tensor(gradient, device="cuda")
        with torch.cuda.device(0):
            torch.cuda.set_sync_debug_mode("error")
            try:
                guard.check(optimizer, has_scaler=False)
            finally:
                torch.cuda.set_sync_debug_mode("default")
        optimizer.step()
    assert weight.tolist() == [0.0, 0.0, 0.0]
    assert guard.collect() == 3
    assert [math.isfinite(norm) for norm in guard.norms] == [True, False, False]
