"""MIDI files through a model that plays notes: what is read, arranged, refused; blocks without seams."""

import io
import os
from pathlib import Path

import mido
import numpy as np
import pytest
import torch
from toy_models import make_player, make_vae

from datamodules.release.notes import read_played
from lightning_modules.cli.rendering import MOST_NOTES, PieceRenderer, arranged, on_the_keyboard, read_piece
from lightning_modules.errors import AudioFileError, OptionError

C = 60


def midi(*tracks: list, kind: int = 1) -> bytes:
    file = mido.MidiFile(type=kind, ticks_per_beat=480)
    file.tracks += [mido.MidiTrack(track) for track in tracks]
    buffer = io.BytesIO()
    file.save(file=buffer)
    return buffer.getvalue()


def on(pitch: int, velocity: int, time: int, channel: int = 0) -> mido.Message:
    return mido.Message("note_on", note=pitch, velocity=velocity, time=time, channel=channel)


def scale(pitches: list[int], channel: int = 0) -> list[mido.Message]:
    """One note a second, each half a second long."""
    messages = []
    for number, pitch in enumerate(pitches):
        messages += [on(pitch, 80, 480 * (number > 0), channel), on(pitch, 0, 480, channel)]
    return messages


@pytest.fixture
def piece(tmp_path: Path) -> Path:
    path = tmp_path / "piece.mid"
    path.write_bytes(midi(scale([C, C + 2, C + 4])))
    return path


def test_channels_are_played_together_without_percussion_or_as_chosen(tmp_path: Path):
    path = tmp_path / "band.mid"
    path.write_bytes(midi(scale([60]), scale([64], 3), scale([36, 38], 9)))
    assert sorted(read_piece(path).notes.pitch.tolist()) == [60, 64]
    assert read_piece(path, [3, 9]).notes.pitch.tolist() == [36, 64, 38]
    path.write_bytes(midi(scale([36], 9)))
    assert read_piece(path).notes.pitch.tolist() == [36]  # there is nothing else


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"RIFF1234WAVE", r"12 bytes are no MIDI file .*\n.*type 0 or 1"),
        (b"", r"0 bytes are no MIDI file"),
        (midi(scale([60]))[:30], r"no MIDI file that can be read|without notes"),
        (
            midi([mido.MetaMessage("set_tempo", tempo=500000)]),
            r"file without notes\n.*with notes in it",
        ),
        (
            midi([on(60, 80, 0), *[mido.Message("program_change", time=2**28 - 1)] * 3]),
            r"lasts 233 hours",
        ),
    ],
)
def test_what_cannot_be_played_is_said_in_a_sentence(tmp_path: Path, content: bytes, message: str):
    path = tmp_path / "odd.mid"
    path.write_bytes(content)
    with pytest.raises(AudioFileError, match=message) as caught:
        read_piece(path)
    assert "odd.mid" in str(caught.value)


def test_a_pipe_or_a_device_is_no_piece(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.mid")
    (tmp_path / "endless.mid").symlink_to("/dev/zero")
    for name in ("pipe.mid", "endless.mid"):
        with pytest.raises(AudioFileError, match=f"{name}: no regular file"):
            read_piece(tmp_path / name)


def test_a_link_to_a_piece_is_followed(piece: Path):
    link = piece.with_name("link.mid")
    link.symlink_to(piece)
    assert len(read_piece(link).notes.pitch) == 3


def test_missing_files_and_missing_channels_are_named(piece: Path):
    with pytest.raises(AudioFileError, match=r"nowhere\.mid: no such file"):
        read_piece(piece.with_name("nowhere.mid"))
    with pytest.raises(AudioFileError, match=r"without notes in channel\(s\) 5, 7"):
        read_piece(piece, [4, 6])


def test_a_piece_faster_higher_and_softer(piece: Path):
    pedal = [mido.Message("control_change", control=64, value=127), *scale([C, C + 2])]
    plain = read_played(midi(pedal))
    played = arranged(plain, tempo=2.0, transpose=-12, velocity_exponent=2.0)
    np.testing.assert_allclose(played.notes.onset, [0.0, 0.5])
    np.testing.assert_allclose(played.notes.sounding_offset, plain.notes.sounding_offset / 2)
    assert played.notes.pitch.tolist() == [48, 50]
    assert played.notes.velocity.tolist() == [round(80 * 80 / 127)] * 2
    assert arranged(plain, velocity_exponent=100.0).notes.velocity.tolist() == [1, 1]
    same = arranged(plain)
    assert all(map(np.array_equal, same.notes, plain.notes))


def test_keys_that_no_piano_has(piece: Path):
    played = read_played(midi(scale([12, 60, 110])))
    with pytest.raises(OptionError, match=r"2 of 3 notes .* lowest is 12, the highest 110\n.*transpose"):
        on_the_keyboard(played, leave_out=False)
    assert on_the_keyboard(played, leave_out=True).notes.pitch.tolist() == [60]
    with pytest.raises(OptionError, match="2 of 2 notes"):
        on_the_keyboard(read_played(midi(scale([12, 13]))), leave_out=True)
    inside = read_played(midi(scale([21, 108])))
    assert on_the_keyboard(inside, leave_out=False) is inside


def test_blocks_joined_are_the_whole(piece: Path):
    module = make_player()
    played = read_piece(piece)
    num_samples = PieceRenderer(module).num_samples(played, 1.0)
    assert num_samples == round((2.5 + 1.0) * module.sample_rate)
    whole, parts = (
        list(PieceRenderer(module, seconds).blocks(played, num_samples)) for seconds in (60.0, 0.3)
    )
    assert len(whole) == 1 and len(parts) > 8
    np.testing.assert_allclose(np.concatenate(parts, 1), whole[0], atol=3e-5)
    assert np.abs(whole[0]).max() > 0.01


def test_gain_is_a_factor(piece: Path):
    module, played = make_player(), read_piece(piece)
    plain, half = (next(PieceRenderer(module).blocks(played, 8000, gain)) for gain in (1.0, 0.5))
    np.testing.assert_allclose(half, plain / 2, atol=1e-6)


def test_notes_under_a_pedal_that_stays_down_do_not_pile_up():
    """A trill of an hour: what a block has to hold stops growing."""
    trill = [mido.Message("control_change", control=64, value=127)]
    for number in range(7200):
        trill += [on(60 + number % 12 * 2, 80, 0), on(60 + number % 12 * 2, 0, 480)]
    widths = []
    module = make_player()
    module.render = lambda notes, num_samples: (  # type: ignore[method-assign]
        widths.append(notes.pitch.shape[1]) or torch.zeros(1, 1, num_samples)
    )
    renderer = PieceRenderer(module, 10.0)
    played = read_played(midi(trill))
    assert (
        sum(block.shape[1] for block in renderer.blocks(played, 3600 * module.sample_rate))
        == 3600 * module.sample_rate
    )
    # struck again after 6 s, heard in the 10 s of a block and 6 s after: two notes a second
    assert max(widths) <= 2 * (10 + 6 + 6) + 2


def test_more_notes_than_anybody_plays_are_not_held_in_memory():
    notes = [on(60 + number % 40, 80, 0) for number in range(MOST_NOTES + 1)]
    played = read_played(midi([*notes, on(60, 0, 480)]))
    message = rf"{MOST_NOTES + 1:,} notes sound together at about 0 s(.|\n)*shorter --block_seconds"
    with pytest.raises(OptionError, match=message):
        next(PieceRenderer(make_player()).blocks(played, 8000))


def test_a_model_that_plays_no_notes_says_so():
    with pytest.raises(OptionError, match=r"VAE of this checkpoint plays no notes\n.*wavegan_notes.yaml"):
        PieceRenderer(make_vae())
