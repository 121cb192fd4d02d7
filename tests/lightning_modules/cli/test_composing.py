"""Events of a composition, and the picture of it."""

import io
import itertools

import numpy as np
import pytest
import torch
from PIL import Image

from datamodules.mini.midi import write_midi
from datamodules.mini.performance import perform
from datamodules.mini.release import SCORES
from datamodules.release.notes import read_played
from datamodules.release.tokens import NoteEvent, read_events
from lightning_modules.cli.composing import Composer, picture
from lightning_modules.errors import AudioFileError, OptionError
from lightning_modules.networks import NoteTransformer
from lightning_modules.note_prior import NotePrior


def make_prior(size: int = 411) -> NotePrior:
    torch.manual_seed(0)
    return NotePrior(NoteTransformer(size, width=16, layers=1, heads=2), 32).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def composer() -> Composer:
    return Composer(make_prior())


@pytest.fixture(scope="module")
def piece(tmp_path_factory):
    path = tmp_path_factory.mktemp("piece") / "piece.mid"
    write_midi(perform(SCORES[0], 0), path)
    return path


def test_a_piece_ends_in_time(composer):
    events = list(composer.events(60.0, seed=0))
    notes = [event for event in events if isinstance(event, NoteEvent)]
    assert len(notes) > 20
    assert 3000 < max(event.tick for event in events) < 6000
    assert max(note.tick + note.duration for note in notes) <= 6000
    assert [event.tick for event in events] == sorted(event.tick for event in events)


def test_a_longer_piece_begins_like_a_shorter_one(composer):
    shorter, longer = (list(composer.events(seconds, 3)) for seconds in (5.0, 20.0))
    kept = [(e.tick, type(e)) for e in shorter]
    assert kept == [(e.tick, type(e)) for e in itertools.islice(longer, len(kept))]
    assert len(longer) > len(shorter)


def test_a_prompt_comes_first_and_changes_what_follows(composer, piece):
    tokens = composer.prompt(piece, None)
    whole = read_events(composer.vocabulary, tokens)
    events = list(composer.events(5.0, 0, prompt=tokens))
    assert events[: len(whole)] == whole and len(events) > len(whole)
    assert events[-1].tick <= whole[-1].tick + 500
    beginning = composer.prompt(piece, 4.0)
    times = [event.tick for event in read_events(composer.vocabulary, beginning)]
    assert max(times) <= 400 and beginning == tokens[: len(beginning)]


def test_prompts_that_cannot_be_used(composer, piece, tmp_path):
    with pytest.raises(OptionError, match="has no notes on the 88 keys"):
        composer.prompt(piece, 0.001)
    with pytest.raises(AudioFileError, match="no such file"):
        composer.prompt(tmp_path / "none.mid", None)


def test_another_vocabulary_is_refused():
    with pytest.raises(OptionError, match="knows 20 tokens, and the vocabulary has 411"):
        Composer(make_prior(20))


def test_the_picture_and_the_presses_of_a_piece(piece):
    played = read_played(piece.read_bytes())
    times = played.pedals[0].presses(30.0)
    assert (times[:, 0] < times[:, 1]).all()
    sustain = played.pedals[0]
    middle = times[np.isfinite(times[:, 1])].mean(1)
    assert (sustain.at(middle) >= 64).all()
    content = picture(played, 30.0, "title")
    assert Image.open(io.BytesIO(content)).size == (1100, 250)
    assert picture(played, 30.0, "title") == content
