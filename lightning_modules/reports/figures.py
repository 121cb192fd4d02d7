"""Pictures of sound.

Figures are made without pyplot: it would start a window system and keep every figure alive.
"""

import functools
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ParamSpec

import numpy as np
import torch
from torch import Tensor

from lightning_modules.audio.spectrogram import MelSpectrogram, power_to_db

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Given = ParamSpec("Given")
DYNAMIC_RANGE_DB = 80.0
FFT_SECONDS = 0.064
HOP_SECONDS = 0.008
NUM_MELS = 128
TICK_HZ = (250, 500, 1000, 2000, 4000, 8000, 16000)
ROW_INCHES = (8.0, 2.1)


def in_own_style(draw: "Callable[Given, Figure]") -> "Callable[Given, Figure]":
    """Let a function draw with matplotlib's own defaults, whatever a `matplotlibrc` says.

    matplotlib reads one from the working folder, which may be full of other people's files, and one that asks
    for LaTeX ends in a traceback where there is none.
    """

    @functools.wraps(draw)
    def drawn(*args: Given.args, **kwargs: Given.kwargs) -> "Figure":
        import matplotlib

        with matplotlib.rc_context():
            matplotlib.rcdefaults()
            figure = draw(*args, **kwargs)
            for axes in figure.axes:  # labels would be made at the end, in another style
                axes.get_xticklabels()
                axes.get_yticklabels()
        return figure

    return drawn


@in_own_style
def spectrogram_figure(waveforms: Mapping[str, Tensor], sample_rate: int) -> "Figure":
    """Mel spectrograms below each other, in one scale of decibels, so that they can be compared by eye.

    Args:
        waveforms: Title of each row -> (C, T) or (T,); channels are averaged. The loudest cell of the first
            row is 0 dB in all rows.
        sample_rate: In Hz.

    Returns:
        A figure that no pyplot state holds; `figure.savefig(path)` writes it.

    Raises:
        ValueError: If there is no waveform.
    """
    from matplotlib.figure import Figure

    if not waveforms:
        raise ValueError("waveforms is empty; give at least one")
    front_end = mel_front_end(sample_rate)
    spectrograms = [mel_db(waveform, front_end) for waveform in waveforms.values()]
    reference = spectrograms[0].max()
    width, height = ROW_INCHES
    total = height * len(spectrograms) + 0.3
    figure = Figure(figsize=(width, total), dpi=100)
    # margins by hand: matplotlib's automatic layout draws everything twice
    grid = {"left": 0.07, "right": 0.97, "bottom": 0.5 / total, "top": 1 - 0.3 / total, "hspace": 0.25}
    rows = figure.subplots(len(spectrograms), sharex=True, squeeze=False, gridspec_kw=grid)[:, 0]
    for row, (title, waveform), decibels in zip(rows, waveforms.items(), spectrograms, strict=True):
        image = row.imshow(
            decibels - reference,
            origin="lower",
            aspect="auto",
            cmap="magma",
            interpolation="nearest",
            vmin=-DYNAMIC_RANGE_DB,
            vmax=0.0,
            extent=(0.0, waveform.shape[-1] / sample_rate, -0.5, NUM_MELS - 0.5),
        )
        row.set_title(title, loc="left", fontsize=10)
        _label_frequencies(row, sample_rate)
    rows[-1].set_xlabel("time (s)")
    figure.colorbar(image, ax=list(rows), label="dB", pad=0.015, fraction=0.07)
    return figure


def mel_front_end(sample_rate: int) -> MelSpectrogram:
    """Mel spectrogram whose windows last the same at every sample rate (to the nearest power of two)."""
    fft_samples = 2 ** round(math.log2(FFT_SECONDS * sample_rate))
    return MelSpectrogram(sample_rate, fft_samples, max(1, round(HOP_SECONDS * sample_rate)), NUM_MELS)


def mel_db(waveform: Tensor, front_end: MelSpectrogram) -> np.ndarray:
    """Mel spectrogram in dB of full scale, (C, T) or (T,) -> (M, N) float32; channels are averaged."""
    mono = waveform.detach().float().cpu()
    mono = mono.mean(0) if mono.ndim == 2 else mono  # (T,)
    with torch.no_grad():
        return power_to_db(front_end(mono)).numpy()


def mel_row(frequency: float, sample_rate: int) -> float:
    """Row of `mel_db` at a frequency in Hz: band m is centred at (m + 1) / (M + 1) of the scale."""
    from librosa import hz_to_mel  # a second to import, and only pictures need it

    return float(hz_to_mel(frequency) / hz_to_mel(sample_rate / 2)) * (NUM_MELS + 1) - 1


def _label_frequencies(axes: "Axes", sample_rate: int) -> None:
    shown = [frequency for frequency in TICK_HZ if frequency < sample_rate / 2]
    labels = [f"{frequency // 1000} k" if frequency >= 1000 else str(frequency) for frequency in shown]
    axes.set_yticks([mel_row(frequency, sample_rate) for frequency in shown], labels, fontsize=8)
    axes.set_ylabel("Hz")
