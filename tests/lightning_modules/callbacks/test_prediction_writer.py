import csv
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import soundfile
from toy_experiment import ToyDataModule, ToyModule

from lightning_modules.callbacks.prediction_writer import PredictionWriter


def test_every_clip_is_written_with_its_origin(tmp_path: Path):
    data = ToyDataModule(num_clips=6, batch_size=4)
    trainer = pl.Trainer(
        default_root_dir=tmp_path,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        callbacks=[PredictionWriter()],
    )
    module = ToyModule(8000, 1600)
    expected = [clip for batch in trainer.predict(module, datamodule=data) for clip in batch]
    with (tmp_path / "manifest.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["performance"]) for row in rows] == list(range(6))
    assert rows[3]["file"] == "performance_0003_start_00000000.wav"
    assert rows[3] | {"file": ""} == {
        "file": "",
        "performance": "3",
        "start_sample": "0",
        "start_seconds": "0.0",
        "num_samples": "1600",
        "sample_rate": "8000",
    }
    for row, clip in zip(rows, expected, strict=True):
        audio, rate = soundfile.read(tmp_path / "clips" / row["file"])
        assert rate == 8000
        np.testing.assert_allclose(audio, clip[0].clamp(-1, 1).numpy(), atol=1 / 32767)
