"""What Transkun hears, and that it listens to each clip once."""

import io
import os
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from datamodules.mini.piano import Piano
from lightning_modules.audio.notes import HeardNotes
from lightning_modules.errors import OptionError
from lightning_modules.metrics.note_scores import note_f_score, velocity_correlation
from lightning_modules.metrics.transcription import NoteListener, content_key

RATE = 16_000
SECONDS = 3.0


ROWS = [(0.3, 60, 1.2, 40), (0.8, 64, 1.8, 100), (1.4, 67, 2.2, 70), (2.0, 55, 2.8, 90)]


def played(rate: int) -> torch.Tensor:
    """`ROWS` on the piano of the embedded release: (2, T)."""
    piano = Piano(rate)
    sound = np.zeros((2, round(SECONDS * rate)))
    for onset, pitch, offset, velocity in ROWS:
        target = sound[:, round(onset * rate) :]
        note = piano.note(pitch, velocity, offset - onset)[:, : target.shape[1]]
        target[:, : note.shape[1]] += note
    return torch.from_numpy(0.3 * sound / np.abs(sound).max()).float()


@pytest.fixture(scope="module")
def listener(transkun) -> NoteListener:
    return NoteListener()


@pytest.mark.slow  # a quarter of a minute of a CPU for each clip
def test_notes_are_heard_at_any_rate_and_from_either_side(listener):
    reference = HeardNotes.from_rows(ROWS)
    for rate, channels in ((RATE, 1), (44_100, 2)):
        (heard,) = listener(played(rate)[None, :channels], rate)
        assert note_f_score(reference, heard) == 1.0
        assert velocity_correlation(reference, heard) > 0.9


@pytest.mark.slow
def test_noise_and_silence_have_no_notes(listener):
    generator = torch.Generator().manual_seed(0)
    noise = 0.1 * torch.randn(1, 2 * RATE, generator=generator)
    for clip in (
        noise,
        torch.zeros(1, 2 * RATE),
        1e-5 * noise,
        torch.full((1, RATE), float("nan")),
        noise[:, :1],
    ):
        assert len(listener(clip, RATE).pitch) == 0


class CountingNetwork:
    """Hears a note half a second after the beginning, a pedal, a note far behind the end; and counts."""

    fs = 44_100

    def __init__(self) -> None:
        self.calls: list[tuple[int, float, float]] = []

    def to(self, device) -> "CountingNetwork":
        return self

    def transcribe(self, audio, stepInSecond, segmentSizeInSecond):
        self.calls.append((len(audio), stepInSecond, segmentSizeInSecond))
        rows = ((0.5, 0.7, 60, 0), (0.1, 0.7, -64, 80), (2.6, 2.8, 72, 90), (1e6, 2e6, 61, 80))
        return [SimpleNamespace(start=a, end=b, pitch=p, velocity=v) for a, b, p, v in rows]


@pytest.fixture
def counted(monkeypatch) -> CountingNetwork:
    network = CountingNetwork()
    monkeypatch.setattr("lightning_modules.metrics.transcription.transkun_network", lambda: network)
    return network


def clips(seconds: float, *seeds: int) -> torch.Tensor:
    """(B, 1, T), one for each seed."""
    size = (1, round(seconds * RATE))
    return torch.stack([0.1 * torch.randn(size, generator=torch.Generator().manual_seed(s)) for s in seeds])


def test_each_clip_is_listened_to_once(counted, tmp_path):
    taken = []
    listener = NoteListener(tmp_path, progress=taken.append)
    (first,), (again,) = listener(clips(1.0, 0), RATE), listener(clips(1.0, 0), RATE)
    assert len(counted.calls) == 1
    assert taken == [16.0]
    assert first.pitch.tolist() == again.pitch.tolist() == [60]  # no pedal, nothing behind the end
    assert first.velocity.tolist() == [1]  # MIDI has no note of velocity 0
    NoteListener(tmp_path)(clips(1.0, 0), RATE)  # another process
    assert len(counted.calls) == 1
    listener(clips(1.0, 1), RATE)
    listener(clips(1.0, 0), RATE // 2)
    assert len(counted.calls) == 3


def kept(**changes: object) -> bytes:
    """A file of one note, with some of its arrays changed."""
    content = io.BytesIO()
    np.savez(content, **{**HeardNotes.from_rows([(0.5, 60, 0.7, 64)])._asdict(), **changes})
    return content.getvalue()


def deflated() -> bytes:
    content = io.BytesIO()
    np.savez_compressed(content, **HeardNotes.from_rows([(0.5, 60, 0.7, 64)])._asdict())
    return content.getvalue()


DAMAGE = {
    "empty": lambda: b"",
    "cut": lambda: kept()[:-30],
    "flipped": lambda: kept().replace(b"\x00\x00\x00\xe0?", b"\x00\x00\x00\xf0?", 1),  # 0.5 in bytes
    "no notes": lambda: kept(pitch=np.arange(3)),
    "objects": lambda: kept(pitch=np.array([{"a": 1}], dtype=object)),
    "another type": lambda: kept(pitch=np.array([60.0])),
    "a pitch that cannot be": lambda: kept(pitch=np.array([600])),
    "a time that cannot be": lambda: kept(onset=np.array([np.nan])),
    "another array": lambda: kept(more=np.zeros(1)),
    "deflated": deflated,
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_was_heard_and_is_damaged_is_heard_again(counted, tmp_path, damage):
    (first,) = NoteListener(tmp_path)(clips(1.0, 0), RATE)
    (path,) = tmp_path.iterdir()
    path.write_bytes(DAMAGE[damage]())
    with pytest.warns(UserWarning, match=f"{path.name} is damaged .*listened to again"):
        (again,) = NoteListener(tmp_path)(clips(1.0, 0), RATE)
    assert len(counted.calls) == 2
    assert [column.tolist() for column in again] == [column.tolist() for column in first]
    NoteListener(tmp_path)(clips(1.0, 0), RATE)
    assert len(counted.calls) == 2


def test_a_link_or_a_pipe_is_not_what_was_heard(counted, tmp_path):
    NoteListener(tmp_path / "cache")(clips(1.0, 0), RATE)
    (path,) = (tmp_path / "cache").iterdir()
    target = path.rename(tmp_path / "elsewhere")
    before = target.stat()
    for plant in (lambda: path.symlink_to(target), lambda: os.mkfifo(path)):
        plant()
        with pytest.warns(UserWarning, match="listened to again"):
            NoteListener(tmp_path / "cache")(clips(1.0, 0), RATE)
        assert path.is_file() and not path.is_symlink()
        path.unlink()
    assert target.stat().st_mtime_ns == before.st_mtime_ns


def test_short_clips_share_a_segment_and_keep_their_own_notes(counted):
    heard = NoteListener()(clips(1.0, *range(9)), RATE)
    # 8 clips of 1 s and the 7 s between them are 15 s
    assert [call[0] for call in counted.calls] == [16 * 44_100] * 2
    assert [notes.pitch.tolist() for notes in heard] == [[60], [72], *[[]] * 6, [60]]
    assert heard[1].onset.tolist() == pytest.approx([0.6])
    assert heard[1].offset.tolist() == pytest.approx([0.8])


def test_silence_and_nan_have_no_notes_and_are_not_listened_to(counted):
    batch = clips(1.0, 0, 1, 2)
    batch[0] = 0.0
    batch[1, 0, 5] = float("nan")
    heard = NoteListener()(batch, RATE)
    assert [len(notes.pitch) for notes in heard] == [0, 0, 1]
    NoteListener()(torch.zeros(1, 1, 100), RATE)
    assert len(counted.calls) == 1


def test_the_budget_is_kept_and_what_is_known_costs_nothing(counted):
    listener = NoteListener(budget_seconds=40.0)
    heard = listener(clips(10.0, *range(4)), RATE)
    assert [notes is not None for notes in heard] == [True, True, False, False]
    assert listener(clips(10.0, 1), RATE)[0] is not None
    assert listener.heard_seconds == 32.0


def test_a_clip_fills_a_segment_and_a_long_one_is_cut_into_halves(counted):
    listener = NoteListener()
    listener(clips(8.5, 0), RATE)
    listener(clips(20.0, 0), RATE)
    assert counted.calls == [(16 * 44_100, 16.0, 16.0), (20 * 44_100, 8.0, 16.0)]


def test_without_the_package_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "transkun", None)
    with pytest.raises(OptionError, match="transkun") as caught:
        NoteListener()
    assert "[transcription]" in caught.value.remedy


def test_the_key_is_of_samples_shape_and_rate():
    mono = np.zeros((1, 8), dtype=np.float32)
    keys = {content_key(mono, RATE), content_key(mono, 8000), content_key(mono.reshape(2, 4), RATE)}
    assert len({*keys, content_key(mono + 1, RATE)}) == 4
    assert content_key(mono.copy(), RATE) in keys
