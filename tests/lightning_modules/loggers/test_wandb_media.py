"""Files of a run in W&B: grouped by title, each called by its stem."""

from pathlib import Path

import torch
from lightning.pytorch.loggers import WandbLogger

from lightning_modules.callbacks.audio_logger import log_groups, write_group
from lightning_modules.loggers.wandb_media import WandbMedia


def test_wandb_gets_the_files_grouped_by_title(tmp_path: Path) -> None:
    sent = {}

    class Recorder(WandbLogger):
        def __init__(self) -> None: ...

        def log_audio(self, key, audios, step=None, **options):
            sent[key] = ([Path(audio).name for audio in audios], step, options["caption"])

        def log_image(self, key, images, step=None, **options):
            sent[key] = ([Path(image).name for image in images], step, options["caption"])

        def log_table(self, key, columns=None, data=None, dataframe=None, step=None):
            sent[key] = (columns, [row[:4] for row in data], step)

    wave = torch.full((1, 4000), -0.25)
    groups = {"clip_0": {"original": wave, "reconstruction": wave}, "sample_0": {"sample": wave}}
    for name, waveforms in groups.items():
        write_group(tmp_path, name, waveforms, 8000)
    log_groups(WandbMedia(Recorder()), tmp_path, groups, 400)
    assert sent.pop("samples") == (
        ["step", "clip", "kind", "peak", "audio", "spectrogram"],
        [
            [400, "clip_0", "original", 0.25],
            [400, "clip_0", "reconstruction", 0.25],
            [400, "sample_0", "sample", 0.25],
        ],
        400,
    )
    assert sent == {
        "audio/original": (["clip_0_original.wav"], 400, ["clip_0_original"]),
        "audio/reconstruction": (["clip_0_reconstruction.wav"], 400, ["clip_0_reconstruction"]),
        "audio/sample": (["sample_0.wav"], 400, ["sample_0"]),
        "spectrogram/clip": (["clip_0.png"], 400, ["clip_0"]),
        "spectrogram/sample": (["sample_0.png"], 400, ["sample_0"]),
    }
