"""Sums of float64, on devices with and without it."""

import pytest
import torch

from lightning_modules.metrics import ActiveUnits, FrechetLogMel, LogMelDistance
from lightning_modules.metrics.float64 import Float64Metric
from lightning_modules.numerics import precision

STATES = {"meta": torch.device("cpu"), "mps": torch.device("meta")}
"""Where states of float64 lie after a move to the meta device, by the kind of device that has no float64."""


@pytest.mark.parametrize("lacking", STATES)
@pytest.mark.parametrize(
    "make", [lambda: LogMelDistance(16_000), lambda: FrechetLogMel(16_000), lambda: ActiveUnits(3)]
)
def test_states_stay_where_float64_is(make, lacking, monkeypatch) -> None:
    monkeypatch.setattr(precision, "WITHOUT_FLOAT64", (lacking,))
    metric = make()
    assert isinstance(metric, Float64Metric)
    metric.to("meta")
    states = [getattr(metric, name) for name in metric._defaults]
    assert {state.dtype for state in states} == {torch.float64}
    assert {state.device for state in states} == {STATES[lacking]}
    assert all(buffer.device.type == "meta" for buffer in metric.buffers())


def test_a_conversion_leaves_sums_as_they_are() -> None:
    metric = ActiveUnits(3).half()
    assert metric.total.dtype == torch.float64
