"""A piece composed by another program from the exported step is the piece of the model."""

import numpy as np
import pytest
import torch

from lightning_modules.errors import ExportError
from lightning_modules.inference.export import FORMATS, run_onnx
from lightning_modules.inference.export_step import NextToken, example, export_step, largest_difference
from lightning_modules.networks import NoteTransformer


def make_network() -> NoteTransformer:
    torch.manual_seed(0)
    return NoteTransformer(23, width=16, layers=2, heads=2).eval().requires_grad_(False)


@pytest.mark.slow  # torch's converter takes half a minute
def test_onnx_composes_the_same_tokens() -> None:
    network = make_network()
    pt2, onnx = export_step(network, ["pt2", "onnx"], {"part": "step"})
    assert (pt2.name, onnx.name) == ("step.pt2", "step.onnx")
    assert max(pt2.difference, onnx.difference) <= 1e-4
    run = run_onnx(onnx.content)
    tokens, cache = [1], example(network, 1, 0, 0)[1]
    for _ in range(40):
        scores, cache = run(torch.tensor([tokens[-1:]]), cache)
        tokens.append(int(scores[0].argmax()))
    expected = [1]
    for _ in range(40):
        expected.append(int(network(torch.tensor([expected]))[0][0, -1].argmax()))
    assert tokens == expected and len(set(tokens)) > 2


def test_another_result_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    network = make_network()
    exact = NextToken(network)
    assert largest_difference(network, exact) == 0.0

    def wrong(token: torch.Tensor, cache: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        scores, cache = exact(token, cache)
        return scores, cache + 1e-3 * (cache.shape[4] > 2)

    assert largest_difference(network, wrong) == pytest.approx(1e-3, rel=1e-2)
    assert np.isinf(largest_difference(network, lambda *values: (exact(*values)[0] * torch.nan, values[1])))
    monkeypatch.setitem(FORMATS, "pt2", (lambda *_: b"", lambda _: wrong))
    with pytest.raises(ExportError, match=r"step\.pt2 differs from the model by 0\.001"):
        export_step(network, ["pt2"], {})
