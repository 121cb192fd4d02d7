"""Full precision within mixed precision."""

import pytest
import torch

from lightning_modules.numerics.precision import full_precision


def test_products_within_are_not_rounded():
    ones = torch.full((1, 3), 1.0 + 2.0**-12)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert (ones @ ones.T).dtype == torch.bfloat16
        with full_precision(ones.device):
            product = ones @ ones.T
        assert (ones @ ones.T).dtype == torch.bfloat16
    assert product.dtype == torch.float32
    assert product.item() == pytest.approx(3.0 * (1.0 + 2.0**-12) ** 2, rel=1e-7)


class Square(torch.nn.Module):
    def forward(self, waveform: torch.Tensor) -> torch.Tensor:
        with full_precision(waveform.device):
            return waveform.square()


def test_an_exported_graph_has_no_autocast():
    program = torch.export.export(Square(), (torch.ones(2),))
    assert "autocast" not in str(program.graph)
