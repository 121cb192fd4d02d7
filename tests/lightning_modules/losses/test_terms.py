import torch

from lightning_modules.losses.terms import Term, weighted_sum


def test_raw_and_weighted_values():
    value = torch.tensor(3.0, requires_grad=True)
    loss, figures = weighted_sum({"a": Term(2.0, value), "b": Term(0.5, torch.tensor(4.0))})
    assert loss.item() == 8.0
    assert {name: figure.item() for name, figure in figures.items()} == {
        "a": 3.0,
        "b": 4.0,
        "weighted/a": 6.0,
        "weighted/b": 2.0,
    }
    loss.backward()
    assert value.grad.item() == 2.0
    assert not any(figure.requires_grad for figure in figures.values())
