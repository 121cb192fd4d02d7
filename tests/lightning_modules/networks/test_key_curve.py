"""Values over the keyboard: straight lines between knots, and each key's own rest."""

import torch

from lightning_modules.networks.key_curve import NUM_KEYS, KeyCurve, hat_functions, interpolation_weights


def test_a_new_curve_is_where_it_starts():
    start = torch.linspace(-1.0, 1.0, NUM_KEYS)
    torch.testing.assert_close(KeyCurve(start, 5)(), start)


def test_knots_are_joined_by_lines_and_a_key_moves_alone():
    curve = KeyCurve(torch.zeros(NUM_KEYS, 3), 4, scale=2.0, own_scale=0.5, knot_shape=(1,))
    with torch.no_grad():
        curve.knots[:, 0] = torch.tensor([0.0, 1.0, 0.0, -1.0])  # 29 keys apart
        curve.own[10, 2] = 1.0
        values = curve()
    torch.testing.assert_close(values[29], torch.full((3,), 2.0))
    torch.testing.assert_close(values[10, :2], torch.full((2,), 2.0 * 10 / 29))
    torch.testing.assert_close(values[10, 2], torch.tensor(2.0 * 10 / 29 + 0.5))
    torch.testing.assert_close(values[-1], torch.full((3,), -2.0))


def test_weights_are_those_of_linear_interpolation():
    assert torch.allclose(hat_functions(88, 12).sum(1), torch.ones(88))
    weights = interpolation_weights(torch.tensor([-1.0, 0.25, 2.0, 9.0]), 4)
    expected = torch.tensor([[1.0, 0, 0, 0], [0.75, 0.25, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    torch.testing.assert_close(weights, expected)
