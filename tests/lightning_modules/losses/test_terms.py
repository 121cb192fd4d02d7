import torch

from lightning_modules.losses.terms import Term, balanced_loss, weighted_sum


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


def test_a_balanced_term_moves_the_output_by_its_weight_whatever_its_scale():
    weight = torch.tensor([1.0, 2.0], requires_grad=True)
    for scale in (1e-3, 1.0, 1e6):
        weight.grad = None
        output = 2.0 * weight
        loss = 3.0 * output[0]
        terms = {"a": Term(0.5, scale * output[1]), "b": Term(1.0, 0.0 * output.sum())}
        balanced_loss(loss, terms, output).backward()
        # at the output (3, 0) and half as much of the second axis; doubled on the way back
        torch.testing.assert_close(weight.grad, torch.tensor([6.0, 3.0]))
