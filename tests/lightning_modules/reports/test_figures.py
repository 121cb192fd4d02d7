"""Pictures of sound."""

import io
import subprocess
import sys

import matplotlib
import matplotlib.text
import numpy as np
import pytest
import torch

from lightning_modules.reports.figures import (
    DYNAMIC_RANGE_DB,
    NUM_MELS,
    mel_db,
    mel_front_end,
    mel_row,
    spectrogram_figure,
)

RATE = 16000


def sine(frequency: float, amplitude: float = 1.0, samples: int = RATE) -> torch.Tensor:
    return amplitude * torch.sin(2 * torch.pi * frequency * torch.arange(samples) / RATE)


@pytest.mark.parametrize("frequency", [440.0, 1000.0, 3000.0])
def test_a_sine_is_brightest_where_the_axis_says(frequency: float) -> None:
    decibels = mel_db(sine(frequency), mel_front_end(RATE))
    assert decibels.shape == (NUM_MELS, RATE // 128 + 1)
    brightest = decibels[:, 60].argmax()
    assert abs(brightest - mel_row(frequency, RATE)) < 1.0


def test_channels_are_averaged() -> None:
    left = sine(440.0)
    stereo = torch.stack([left, torch.zeros_like(left)])
    difference = mel_db(left, mel_front_end(RATE)).max() - mel_db(stereo, mel_front_end(RATE)).max()
    assert difference == pytest.approx(20 * np.log10(2), abs=1e-3)


def test_rows_share_one_scale_in_decibels() -> None:
    figure = spectrogram_figure({"loud": sine(440.0)[None], "quiet": sine(440.0, 0.1)[None]}, RATE)
    loud, quiet, colour_bar = figure.axes
    assert (loud.get_title(loc="left"), quiet.get_title(loc="left")) == ("loud", "quiet")
    for row in (loud, quiet):
        assert row.images[0].get_clim() == (-DYNAMIC_RANGE_DB, 0.0)
        assert row.images[0].get_extent()[:2] == [0.0, 1.0]  # seconds
    assert loud.images[0].get_array().max() == pytest.approx(0.0, abs=1e-4)
    assert quiet.images[0].get_array().max() == pytest.approx(-20.0, abs=1e-2)
    assert colour_bar.get_ylabel() == "dB"
    assert quiet.get_xlabel() == "time (s)"


def test_no_waveform() -> None:
    with pytest.raises(ValueError, match="waveforms is empty"):
        spectrogram_figure({}, RATE)


@pytest.mark.slow
def test_pyplot_is_not_used() -> None:
    program = (
        "import sys, torch; from lightning_modules.reports.figures import spectrogram_figure as f; "
        "f({'x': torch.zeros(4000)}, 16000).savefig(sys.argv[1], format='png'); "
        "print('matplotlib.pyplot' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", program, "/dev/null"], capture_output=True, text=True)
    assert result.stdout.strip() == "False", result.stderr


def test_no_file_of_the_working_folder_decides_the_style():
    """LaTeX is what a `matplotlibrc` there may ask for."""
    with matplotlib.rc_context({"text.usetex": True}):
        figure = spectrogram_figure({"a": torch.zeros(1600)}, 8000)
        assert matplotlib.rcParams["text.usetex"]
        figure.savefig(io.BytesIO(), format="png")
    texts = figure.findobj(matplotlib.text.Text)
    assert texts and not any(text.get_usetex() for text in texts)
