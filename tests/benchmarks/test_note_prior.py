"""What a trained note prior knows and makes, beside simple models and real pieces.

    MAESTRO_NOTE_PRIOR=runs/note_prior/<id> pytest -m benchmark -s tests/benchmarks/test_note_prior.py

Nats per note of each split, beside even odds, counted models of order 0 and 2, and xz; then pieces of a
minute, in excerpts, beside excerpts of the release. MAESTRO_NOTE_DATA names a folder with v3.0.0 in place of
the embedded release, MAESTRO_NOTE_PIECES the number of pieces (20), MAESTRO_NOTE_TEMPERATURE and
MAESTRO_NOTE_TOP_P how they are drawn, MAESTRO_NOTE_EXCERPT the seconds of an excerpt (20).
"""

import os
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from datamodules import MaestroNotesDataModule
from datamodules.batch import END
from datamodules.release.tokens import NoteEvent, PedalEvent, read_events
from lightning_modules import load_module
from lightning_modules.audio.notes import HeardNotes
from lightning_modules.cli.composing import Composer
from lightning_modules.metrics.note_scores import (
    notes_per_second,
    pitch_class_entropy,
    polyphony,
    velocity_spread,
)
from lightning_modules.metrics.originality import longest_shared_run, repeated_share, steps_of
from lightning_modules.metrics.token_models import compressed_nats, ngram_nats
from lightning_modules.runs.folder import checkpoint_in

pytestmark = pytest.mark.benchmark

RUN, DATA = (os.environ.get(f"MAESTRO_NOTE_{name}") for name in ("PRIOR", "DATA"))
PIECES = int(os.environ.get("MAESTRO_NOTE_PIECES", "20"))
TEMPERATURE = float(os.environ.get("MAESTRO_NOTE_TEMPERATURE", "1.0"))
TOP_P = float(os.environ.get("MAESTRO_NOTE_TOP_P", "0.95"))
EXCERPT = float(os.environ.get("MAESTRO_NOTE_EXCERPT", "20"))
SECONDS = 60.0

Events = Sequence[NoteEvent | PedalEvent]


@pytest.fixture(scope="module")
def module():
    if RUN is None:
        pytest.skip("MAESTRO_NOTE_PRIOR names no run of experiments/note_prior.yaml")
    return load_module(checkpoint_in(Path(RUN)))


@pytest.fixture(scope="module")
def data(module) -> MaestroNotesDataModule:
    source = {"release": "v3.0.0", "source": DATA} if DATA else {}
    data = MaestroNotesDataModule(window_tokens=module.window_tokens, **source)
    data.prepare_data()
    data.setup()
    return data


def pieces_of(data: MaestroNotesDataModule, split: str) -> list[list[int]]:
    return [[*piece.tolist(), END] for piece in data.pieces_of(split).values()]


def test_likelihood(module, data, capsys: pytest.CaptureFixture[str]) -> None:
    training, size = pieces_of(data, "train"), len(data.vocabulary)
    lines = [f"parameters {sum(p.numel() for p in module.parameters()):,}, step {module.trained_steps}"]
    for split in ("train", "validation", "test"):
        pieces = pieces_of(data, split)
        notes = sum(int(data.vocabulary.is_note[piece].sum()) for piece in pieces)
        own = nats_of(module, data, split)
        found = {"note prior": own, "even odds": ngram_nats(training, pieces, -1, size)}
        if split != "train":
            found |= {f"order {order}": ngram_nats(training, pieces, order, size) for order in (0, 2)}
            found["xz"] = compressed_nats(training, pieces)
        shown = "  ".join(f"{name} {nats / notes:.2f}" for name, nats in found.items())
        lines.append(f"{split}: {sum(map(len, pieces)):,} tokens, {notes:,} notes; nats per note: {shown}")
        assert own < min(nats for name, nats in found.items() if name != "note prior")
    with capsys.disabled():
        print("\n" + "\n".join(lines))


def nats_of(module, data: MaestroNotesDataModule, split: str) -> float:
    import torch

    windows = data.eval_windows(split)
    with torch.no_grad():
        return sum(float(module._nats(windows[number]).double().sum()) for number in range(len(windows)))


def test_pieces(module, data, capsys: pytest.CaptureFixture[str]) -> None:
    composer = Composer(module)
    made = [list(composer.events(SECONDS, seed, TEMPERATURE, TOP_P)) for seed in range(PIECES)]
    splits = {split: real_events(data, split) for split in ("train", "validation", "test")}
    real = excerpts(list(chain(*splits.values())))
    lines, inside = [f"{'':<22}{'real 5-95%':>16}{'made, median':>14}{'inside':>8}"], []
    for name, measure in MEASURES.items():
        low, high = np.quantile([measure(each) for each in real], [0.05, 0.95])
        values = np.array([measure(each) for each in excerpts(made)])
        inside.append(((values >= low) & (values <= high)).mean())
        lines.append(f"{name:<22}{low:>8.2f}{high:>8.2f}{np.median(values):>14.2f}{inside[-1]:>8.0%}")
    known = [steps_of(heard(events)) for events in splits["train"]]
    unseen = excerpts(splits["validation"] + splits["test"], SECONDS, at_least=10.0)
    for name, group in (("made", made), ("unseen", unseen)):
        runs = [longest_shared_run(steps_of(heard(events)), known) for events in group]
        repeats = [repeated_share(heard(events)) for events in group]
        lines.append(
            f"{name}, {len(group)} of up to a minute: longest run in training pieces, steps: median "
            f"{np.median(runs):.0f}, most {max(runs)}; repeated windows of 4 s: mean {np.mean(repeats):.3f}, "
            f"most {max(repeats):.3f}"
        )
    with capsys.disabled():
        print("\n" + "\n".join(lines))
    assert min(inside) > 0.25


def real_events(data: MaestroNotesDataModule, split: str) -> list[Events]:
    return [read_events(data.vocabulary, piece.tolist()) for piece in data.pieces_of(split).values()]


def excerpts(
    pieces: Sequence[Events], seconds: float = EXCERPT, at_least: float | None = None
) -> list[Events]:
    """Adjacent parts of pieces, counted from their beginnings; the last one only if it is long enough."""
    found = []
    for events in pieces:
        end = max(event.tick for event in events) / 100
        for start in np.arange(0.0, end - (seconds if at_least is None else at_least) + 1e-9, seconds):
            ticks = round(start * 100), round((start + seconds) * 100)
            part = [
                event._replace(tick=event.tick - ticks[0])
                for event in events
                if ticks[0] <= event.tick < ticks[1]
            ]
            found += [part] if any(isinstance(event, NoteEvent) for event in part) else []
    return found


def heard(events: Events) -> HeardNotes:
    notes = [event for event in events if isinstance(event, NoteEvent)]
    return HeardNotes.from_rows(
        [(n.tick / 100, n.pitch, (n.tick + n.duration) / 100, n.velocity) for n in notes]
    )


def presses_per_second(events: Events) -> float:
    return sum(isinstance(event, PedalEvent) and event.is_down for event in events) / EXCERPT


MEASURES = {
    "notes per second": lambda events: notes_per_second(heard(events), EXCERPT),
    "polyphony of keys": lambda events: polyphony(heard(events), EXCERPT),
    "pitch-class entropy": lambda events: pitch_class_entropy(heard(events), EXCERPT),
    "velocity spread": lambda events: velocity_spread(heard(events), EXCERPT),
    "pedal per second": presses_per_second,
}
