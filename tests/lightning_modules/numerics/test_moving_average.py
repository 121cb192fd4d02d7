import pytest
from torch import nn

from lightning_modules.numerics.moving_average import MovingAverage


def test_shares_no_storage():
    network = nn.Linear(2, 2)
    average = MovingAverage(network, 0.9)
    own = {tensor.untyped_storage().data_ptr() for tensor in network.state_dict().values()}
    copies = {tensor.untyped_storage().data_ptr() for tensor in average.state_dict().values()}
    assert not own & copies
    assert not any(parameter.requires_grad for parameter in average.parameters())


def test_follows_the_closed_form():
    network = nn.Linear(1, 1, bias=False)
    nn.init.constant_(network.weight, 1.0)
    average = MovingAverage(network, 0.25)
    expected = 1.0
    for step, value in enumerate([2.0, -1.0, 5.0, 0.0]):
        nn.init.constant_(network.weight, value)
        average.update(network)
        decay = min(0.25, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * value
    assert average.network.weight.item() == pytest.approx(expected, rel=1e-6)


def test_buffers_are_copied_and_the_count_is_saved():
    network = nn.BatchNorm1d(2)
    average = MovingAverage(network, 0.5)
    network.running_mean += 3
    average.update(network)
    assert average.network.running_mean.tolist() == [3, 3]
    other = MovingAverage(nn.BatchNorm1d(2), 0.5)
    other.load_state_dict(average.state_dict())
    assert other.updates == 1
