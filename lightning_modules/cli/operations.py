"""One small operation of each package that has a compiled part: it raises where the part does not work."""

import io
from collections.abc import Callable

IDENTITY_GRAPH = (
    b'\x08\x08:7\n\x10\n\x01x\x12\x01y"\x08Identity\x12\x01gZ\x0f\n\x01x\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x02'
    b"b\x0f\n\x01y\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x02B\x04\n\x00\x10\r"
)
"""An ONNX file, of operator set 13, whose y (2,) is its x (2,); so that `onnx` need not be there."""


def _convolve() -> None:
    import torch

    kernel = torch.ones(1, 1, 2)
    made = torch.nn.functional.conv1d(torch.ones(1, 1, 3), kernel)
    _expect(made.tolist() == [[[2.0, 2.0]]], made)


def _resample_on_device() -> None:
    import torch
    import torchaudio

    made = torchaudio.functional.resample(torch.zeros(1, 44_100), 44_100, 16_000)
    _expect(made.shape == (1, 16_000), made.shape)


def _transform() -> None:
    import numpy as np

    made = np.fft.rfft(np.ones(4))
    _expect(np.allclose(made, [4.0, 0.0, 0.0]), made)


def _write_and_read() -> None:
    import numpy as np
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, np.full(8, 0.5), 16_000, format="WAV")
    file.seek(0)
    made, _ = soundfile.read(file)
    _expect(np.allclose(made, 0.5, atol=1e-4), made)


def _resample() -> None:
    import numpy as np
    import soxr

    made = soxr.resample(np.zeros(44_100), 44_100, 16_000)
    _expect(len(made) == 16_000, len(made))


def _filter() -> None:
    import librosa

    made = librosa.filters.mel(sr=16_000, n_fft=512, n_mels=4).shape
    _expect(made == (4, 257), made)


def _cluster() -> None:
    import numpy as np
    from sklearn.mixture import GaussianMixture

    made = GaussianMixture(1).fit(np.array([[0.0], [2.0]])).means_
    _expect(np.allclose(made, 1.0), made)


def _wavelet() -> None:
    import pywt

    approximation, _ = pywt.dwt([1.0, 1.0], "haar")
    _expect(abs(approximation[0] - 2**0.5) < 1e-9, approximation)


def _draw() -> None:
    from matplotlib.figure import Figure

    file = io.BytesIO()
    Figure(figsize=(1, 1), dpi=10).savefig(file, format="png")
    _expect(file.getvalue().startswith(b"\x89PNG"), file.getvalue()[:8])


def _open_picture() -> None:
    from PIL import Image

    file = io.BytesIO()
    Image.new("L", (2, 3)).save(file, "PNG")
    made = Image.open(file).size
    _expect(made == (2, 3), made)


def _run_graph() -> None:
    import numpy as np
    import onnxruntime

    session = onnxruntime.InferenceSession(IDENTITY_GRAPH, providers=["CPUExecutionProvider"])
    (made,) = session.run(None, {"x": np.ones(2, dtype=np.float32)})
    _expect(made.tolist() == [1.0, 1.0], made)


def _expect(is_right: bool, made: object) -> None:
    if not is_right:
        raise ArithmeticError(f"it computes {made}")


OPERATIONS: dict[str, Callable[[], None]] = {
    "torch": _convolve,
    "torchaudio": _resample_on_device,
    "numpy": _transform,
    "soundfile": _write_and_read,
    "soxr": _resample,
    "librosa": _filter,
    "scikit-learn": _cluster,
    "PyWavelets": _wavelet,
    "matplotlib": _draw,
    "pillow": _open_picture,
    "onnxruntime": _run_graph,
}
"""By the name of the distribution."""
