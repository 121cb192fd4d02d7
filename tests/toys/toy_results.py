"""Tested runs as they lie on disk, made by code, for the tests of reports and of `lightning compare`."""

import json
from pathlib import Path

import numpy as np

from lightning_modules.reports.listening_set import Clip, ListeningSet, Note, write_listening_set

RATE = 8000
CONFIG = "experiment: toy\nmodel:\n  class_path: toy.Model\n  init_args:\n    latent_size: {size}\n"
NOTES = (Note(60, 0.0, 0.5, 100), Note(64, 0.25, 1.5, 64))


def tone(frequency: float, seconds: float = 1.0, amplitude: float = 0.5) -> np.ndarray:
    """(1, T) float32."""
    time = np.arange(round(seconds * RATE)) / RATE
    return (amplitude * np.sin(2 * np.pi * frequency * time)).astype(np.float32)[None]


def score(
    name: str,
    of: str,
    value: float | None,
    low: float | None = None,
    high: float | None = None,
    better="lower",
):
    return {"name": name, "of": of, "value": value, "low": low, "high": high, "unit": "dB", "better": better}


SCORES = (
    score("log_mel_distance", "reconstructions", 4.2, 4.0, 4.4),
    score("log_mel_distance", "floor", 0.5),
)
CURVES = "epoch,step,train/loss,val/loss\n0,9,8.0,\n0,19,4.0,5.0\n1,29,2.0,3.0\n"


def write_tested_run(
    run: Path,
    *,
    num_clips: int = 2,
    reconstructs: bool = True,
    num_samples: int = 1,
    seconds: float = 1.0,
    titles: tuple[str, ...] = ("Prelude", "Fugue"),
    scores: tuple[dict, ...] = SCORES,
    config: str = CONFIG.format(size=32),
    health: list[dict] | None = None,
    checkpoint: str = "best.ckpt",
    data: dict[str, object] | None = None,
) -> Path:
    """Write a run folder with a test of clips (tones of 440 Hz and up) and return the test's folder."""
    root = run / "test"
    root.mkdir(parents=True)
    audio, clips = {}, []
    for number in range(num_clips):
        original, reconstruction = f"clip_{number}_original.wav", f"clip_{number}_reconstruction.wav"
        audio[original] = tone(440.0 * (number + 1), seconds)
        if reconstructs:
            audio[reconstruction] = tone(440.0 * (number + 1), seconds, amplitude=0.25)
        clips.append(
            Clip(
                recording=f"2009/{number}.wav",
                title=titles[number % len(titles)],
                subtitle="Composer, 2009",
                start_seconds=0.0,
                seconds=seconds,
                original=original,
                reconstruction=reconstruction if reconstructs else None,
                notes=NOTES if number == 0 else None,
            )
        )
    samples = {f"sample_{number}.wav": tone(300.0, 0.5) for number in range(num_samples)}
    content = ListeningSet(
        model="toy.Model",
        checkpoint=str(run / "checkpoints" / checkpoint),
        step=1000,
        sample_rate=RATE,
        data=data if data is not None else {"release": "mini"},
        clips=tuple(clips),
        samples=tuple(samples),
    )
    write_listening_set(root, content, audio | samples)
    table = {"format": 1, "split": "test", "num_clips": 24, "clip_seconds": 16.0, "scores": list(scores)}
    (root / "scores.json").write_text(json.dumps(table))
    (run / "config.yaml").write_text(config)
    metrics = run / "metrics" / "version_0"
    metrics.mkdir(parents=True)
    (metrics / "metrics.csv").write_text(CURVES)
    if health is not None:
        (run / "health.json").write_text(json.dumps(health))
    return root
