"""Sound as a page holds it."""

import base64
import io

import numpy as np
import pytest
import soundfile
from PIL import Image
from toy_results import RATE, tone

from lightning_modules.reports.figures import NUM_MELS, mel_row
from lightning_modules.reports.listening_set import Note
from lightning_modules.reports.tracks import (
    MAX_COLUMNS,
    SILENCE_DB,
    Studio,
    frequency_ticks,
    level_db,
    loudest_db,
    piano_roll,
    picture,
)


def decoded(uri: str, media_type: str) -> bytes:
    head, _, content = uri.partition(",")
    assert head == f"data:{media_type};base64"
    return base64.b64decode(content)


def test_audio_is_lossless():
    pcm = np.random.default_rng(0).integers(-32768, 32767, size=(2, 4000), dtype=np.int16)
    track = Studio(RATE, 0.0).track("id", "label", None, (pcm / 32768).astype(np.float32))
    audio, rate = soundfile.read(io.BytesIO(decoded(track.audio, "audio/flac")), dtype="int16")
    np.testing.assert_array_equal(audio.T, pcm)
    assert (rate, track.seconds) == (RATE, 0.5)


def test_the_picture_is_brightest_where_the_tone_is_and_ticks_say():
    track = Studio(RATE, loudest_db([tone(1000.0)], RATE)).track("id", "label", 0, tone(1000.0))
    image = Image.open(io.BytesIO(decoded(track.picture, "image/png")))
    assert image.height == NUM_MELS
    pixels = np.asarray(image)[::-1]  # (M, N), lowest band first
    row = int(pixels[:, pixels.shape[1] // 2].argmax())
    assert abs(row - mel_row(1000.0, RATE)) < 1.0
    (tick,) = [tick for tick in track.ticks if tick.text == "1 kHz"]
    assert abs(tick.place * NUM_MELS - 0.5 - row) < 1.0
    assert [tick.text for tick in frequency_ticks(44_100)] == ["250 Hz", "1 kHz", "4 kHz", "16 kHz"]


def test_pictures_share_one_scale_and_stay_narrow():
    decibels = np.full((4, 3 * MAX_COLUMNS), -80.0, dtype=np.float32)
    decibels[0, 4] = 0.0  # one bright cell in the lowest band
    decibels[3, 0] = -40.0
    pixels = np.asarray(Image.open(io.BytesIO(picture(decibels))))
    assert pixels.shape == (4, MAX_COLUMNS)
    assert (pixels[3, 1], pixels[0, 0], pixels[1, 1]) == (47, 24, 0)  # lowest band at the bottom


def test_levels():
    assert level_db(tone(1000.0, amplitude=1.0)) == pytest.approx(-3.01, abs=0.01)
    assert level_db(np.zeros((1, 10), np.float32)) == SILENCE_DB


@pytest.mark.parametrize("samples", [1, 2, 300])
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_the_shortest_and_the_silent_have_tracks(samples: int, value: float):
    track = Studio(RATE, 0.0).track("id", "label", None, np.full((1, samples), value, np.float32))
    audio, _ = soundfile.read(io.BytesIO(decoded(track.audio, "audio/flac")))
    assert len(audio) == samples


def test_piano_roll():
    notes = (Note(60, -1.0, 1.0, 127), Note(62, 1.0, 9.0, 0), Note(70, 4.0, 5.0, 64), Note(40, -2, 0, 64))
    roll = piano_roll(notes, seconds=4.0)
    assert roll is not None
    assert (roll.lowest, roll.highest) == ("C4", "D4")
    # five rows from 59 to 63: C4 is the fourth from the top, D4 the second
    assert roll.bars == (
        pytest.approx((0.0, 3 / 5, 0.25, 1 / 5, 1.0)),
        pytest.approx((0.25, 1 / 5, 0.75, 1 / 5, 0.4)),
    )
    assert piano_roll(notes[2:], 4.0) is None
