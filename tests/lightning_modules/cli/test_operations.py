"""Each operation works on what is installed here, and notices a wrong result."""

import importlib

import numpy as np
import pytest

from lightning_modules.cli.operations import OPERATIONS

BROKEN = {
    "torch": "torch.nn.functional.conv1d",
    "torchaudio": "torchaudio.functional.resample",
    "numpy": "numpy.fft.rfft",
    "soundfile": "soundfile.read",
    "soxr": "soxr.resample",
    "librosa": "librosa.filters.mel",
    "PyWavelets": "pywt.dwt",
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_it_works_here(name: str) -> None:
    if name == "onnxruntime":
        pytest.importorskip("onnxruntime")
    OPERATIONS[name]()


@pytest.mark.parametrize("name", BROKEN)
def test_a_wrong_result_is_noticed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module, _, function = BROKEN[name].rpartition(".")
    importlib.import_module(name.lower() if name != "PyWavelets" else "pywt")
    import torch

    wrong = torch.full((1, 2), 7.0) if "torch" in name else np.full(3 if name == "numpy" else (2, 9), 7.0)
    monkeypatch.setattr(f"{module}.{function}", lambda *_, **__: wrong)
    with pytest.raises(ArithmeticError, match="it computes"):
        OPERATIONS[name]()
