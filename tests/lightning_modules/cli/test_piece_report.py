"""The page of composed pieces: rolls, players, and what `lightning compare` makes of two."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from toy_models import save

from datamodules.release.notes import read_played
from lightning_modules import load_module
from lightning_modules.audio.notes import HeardNotes, midi_file
from lightning_modules.cli.piece_report import ComposedPiece, write_piece_report
from lightning_modules.networks import NoteTransformer
from lightning_modules.note_prior import NotePrior
from lightning_modules.reports.cards import make_listening
from lightning_modules.reports.results import read_results

ROWS = [(0.5, 60, 1.0, 64), (1.0, 72, 3.0, 127)]


@pytest.fixture
def composed(tmp_path: Path) -> Path:
    """A folder with the report of two pieces, one of which was played."""
    checkpoint = save(NotePrior(NoteTransformer(411, width=8, layers=1, heads=2), 16), tmp_path / "one.ckpt")
    played = read_played(midi_file(HeardNotes.from_rows(ROWS)))
    soundfile.write(tmp_path / "sound.wav", np.sin(np.arange(16_000) / 10.0), 2000)
    pieces = [
        ComposedPiece("seed <3>", played, 4.0, tmp_path / "sound.wav"),
        ComposedPiece("seed 4", played, 4.0, None),
    ]
    write_piece_report(tmp_path / "compose", load_module(checkpoint), checkpoint, pieces)
    return tmp_path / "compose"


def test_rolls_and_players(composed: Path):
    played, silent = make_listening([read_results(composed)]).pieces
    assert played.title == "seed <3>" and len(played.tracks) == 1 and silent.tracks == ()
    assert played.tracks[0].seconds == 8.0
    for card, seconds in ((played, 8.0), (silent, 4.0)):
        assert card.roll is not None
        assert (card.roll.lowest, card.roll.highest) == ("C4", "C5")
        (left, _, width, _, soft), (_, top, _, _, loud) = card.roll.bars
        assert (left, width) == (pytest.approx(0.5 / seconds), pytest.approx(0.5 / seconds))
        assert top == pytest.approx(1 / 15) and loud == pytest.approx(1.0) and soft < loud


def test_the_page(composed: Path):
    page = (composed / "report.html").read_text()
    assert "NotePrior" in page and "seed &lt;3&gt;" in page and page.count("<audio") == 1
    assert "2,000 Hz" in page and 'href="#pieces"' in page and 'href="#clips"' not in page


def test_two_folders_side_by_side(composed: Path):
    results = read_results(composed)
    pieces = make_listening([results, results]).pieces
    assert [card.subtitle for card in pieces] == [results.label] * 4
    assert len({card.id for card in pieces}) == 4
