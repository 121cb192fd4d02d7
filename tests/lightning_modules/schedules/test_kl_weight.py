import pytest

from lightning_modules.schedules.kl_weight import ConstantKLWeight, CyclicalKLWeight, LinearWarmupKLWeight


def test_constant():
    assert [ConstantKLWeight(0.3)(step) for step in (0, 10, 10**6)] == [0.3, 0.3, 0.3]


def test_linear_warmup_by_hand():
    schedule = LinearWarmupKLWeight(beta=1.0, warmup_steps=4, initial_beta=0.2)
    assert [schedule(step) for step in (0, 1, 2, 4, 5)] == pytest.approx([0.2, 0.4, 0.6, 1.0, 1.0])
    assert LinearWarmupKLWeight(0.5, warmup_steps=0)(0) == 0.5


def test_cyclical_by_hand():
    schedule = CyclicalKLWeight(beta=2.0, cycle_steps=8, rise_fraction=0.5)
    assert [schedule(step) for step in (0, 1, 4, 7, 8, 10)] == pytest.approx([0.0, 0.5, 2.0, 2.0, 0.0, 1.0])


def test_bad_values_are_named():
    with pytest.raises(ValueError, match="LinearWarmupKLWeight needs beta >= 0, got -1"):
        LinearWarmupKLWeight(beta=-1)
    with pytest.raises(ValueError, match="cycle_steps=0"):
        CyclicalKLWeight(cycle_steps=0)
