"""Notes of a clip: by hand, against pretty_midi, and from every kind of source and cache."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import mido
import numpy as np
import pretty_midi
import pytest
from range_server import RangeServer, status

from datamodules import MaestroDataModule
from datamodules.cache.preparation import Preparation
from datamodules.errors import ReleaseError
from datamodules.mini.midi import write_midi
from datamodules.mini.performance import perform, sounding
from datamodules.mini.release import SCORES
from datamodules.release.notes import LARGEST_BYTES, Notes, PedalCurve, read_notes, read_played


def midi_bytes(*tracks: list[mido.Message | mido.MetaMessage], ticks_per_beat: int = 480) -> bytes:
    file = mido.MidiFile(type=1, ticks_per_beat=ticks_per_beat)
    file.tracks += [mido.MidiTrack(track) for track in tracks]
    buffer = io.BytesIO()
    file.save(file=buffer)
    return buffer.getvalue()


def key(pitch: int, velocity: int, time: int) -> mido.Message:
    return mido.Message("note_on", note=pitch, velocity=velocity, time=time)


def tempo(beats_per_minute: float, time: int) -> mido.MetaMessage:
    return mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(beats_per_minute), time=time)


# half a second a beat; from the second beat on, one; from the fourth on, a quarter
TEMPI = [tempo(120, 0), tempo(60, 480), tempo(240, 960)]
C = 60


def test_by_hand_over_tempo_changes():
    played = [key(C, 80, 240), key(C + 4, 90, 240), key(C, 0, 480), key(C + 4, 0, 960)]
    notes = read_notes(midi_bytes(TEMPI, played))
    assert notes.pitch.tolist() == [60, 64]
    np.testing.assert_allclose(notes.onset, [0.25, 0.5])
    np.testing.assert_allclose(notes.offset, [1.5, 0.5 + 2.0 + 0.25])
    assert notes.velocity.tolist() == [80, 90]


def test_a_key_struck_again_and_a_key_never_released():
    played = [key(C, 50, 0), key(C, 60, 240), key(C, 0, 240), key(C + 7, 70, 0), key(C + 9, 75, 480)]
    notes = read_notes(midi_bytes([tempo(120, 0)], played))
    rows = [tuple(row) for row in zip(*(column.tolist() for column in notes[:4]), strict=True)]
    assert rows == [(60, 0.0, 0.5, 50), (60, 0.25, 0.5, 60), (67, 0.5, 1.0, 70), (69, 1.0, 1.0, 75)]


@pytest.mark.parametrize("strike_first", [True, False])
def test_a_key_struck_again_on_the_tick_of_its_release(strike_first):
    again = [key(C, 60, 240), key(C, 0, 0)] if strike_first else [key(C, 0, 240), key(C, 60, 0)]
    notes = read_notes(midi_bytes([tempo(120, 0)], [key(C, 50, 0), *again, key(C, 0, 240)]))
    rows = [tuple(row) for row in zip(*(column.tolist() for column in notes[:4]), strict=True)]
    assert rows == [(60, 0.0, 0.25, 50), (60, 0.25, 0.5, 60)]


def test_the_pedal_does_not_lengthen_notes():
    pedal = mido.Message("control_change", control=64, value=127, time=0)
    notes = read_notes(midi_bytes([tempo(120, 0)], [pedal, key(C, 50, 0), key(C, 0, 480)]))
    assert notes.offset.tolist() == [0.5]


def pedal(value: int, time: int, control: int = 64, channel: int = 0) -> mido.Message:
    return mido.Message("control_change", control=control, value=value, time=time, channel=channel)


@pytest.mark.parametrize(
    ("track", "sounding"),
    [
        # ticks of 1/960 s: released at 0.5 s; the pedal comes up at 1 s
        ([pedal(127, 0), key(C, 50, 0), key(C, 0, 480), pedal(0, 480)], [1.0]),
        # half a pedal, 63, is up
        ([pedal(63, 0), key(C, 50, 0), key(C, 0, 480), pedal(0, 480)], [0.5]),
        # pressed after the key was released: too late
        ([key(C, 50, 0), key(C, 0, 480), pedal(127, 48), pedal(0, 480)], [0.5]),
        # pedal changed while the key is held, and down again when it is released
        ([pedal(127, 0), key(C, 50, 0), pedal(0, 96), pedal(90, 96), key(C, 0, 288), pedal(10, 480)], [1.0]),
        # struck again under the pedal: the earlier sound ends there
        (
            [pedal(127, 0), key(C, 50, 0), key(C, 0, 240), key(C, 60, 240), key(C, 0, 240), pedal(0, 240)],
            [0.5, 1.0],
        ),
        # never released, pedal never up: until the end
        ([pedal(127, 0), key(C, 50, 0), key(C + 1, 5, 960), key(C + 1, 0, 960)], [2.0, 2.0]),
        # the sostenuto pedal holds what is held when it goes down, not what comes later
        (
            [
                key(C, 50, 0),
                pedal(127, 96, 66),
                key(C + 1, 60, 96),
                key(C, 0, 288),
                key(C + 1, 0, 0),
                pedal(0, 480, 66),
            ],
            [1.0, 0.5],
        ),
        # a note without length sounds while the pedal is down
        ([pedal(127, 0), key(C, 50, 0), key(C, 0, 0), pedal(0, 960)], [1.0]),
    ],
)
def test_sounding_offsets(track: list[mido.Message], sounding: list[float]):
    notes = read_notes(midi_bytes([tempo(120, 0)], track))
    np.testing.assert_allclose(notes.sounding_offset, sounding, atol=1e-9)


def test_a_pedal_of_one_channel_holds_no_other_and_channels_can_be_chosen():
    other = [key(C + 7, 50, 0).copy(channel=1), key(C + 7, 0, 480).copy(channel=1), pedal(0, 480)]
    content = midi_bytes([tempo(120, 0)], [pedal(127, 0), key(C, 50, 0), key(C, 0, 480)], other)
    played = read_played(content)
    assert played.channels == (0, 1)
    np.testing.assert_allclose(played.notes.sounding_offset, [1.0, 0.5])
    assert played.pedals_at_onset.tolist() == [[127, 0, 0], [0, 0, 0]]
    assert read_played(content, channels=[1]).notes.pitch.tolist() == [C + 7]
    sustain, sostenuto, soft = played.pedals
    assert sustain.at(np.array([-1.0, 0.0, 0.9, 1.0, 5.0])).tolist() == [0, 127, 127, 0, 0]
    assert len(sostenuto.time) == len(soft.time) == 0


def test_smpte_time_has_no_tempo():
    # 25 frames of 40 ticks: milliseconds
    content = bytearray(midi_bytes([tempo(30, 0)], [key(C, 50, 250), key(C, 0, 500)]))
    content[12:14] = bytes([256 - 25, 40])
    notes = read_notes(bytes(content))
    np.testing.assert_allclose(np.stack([notes.onset, notes.offset]), [[0.25], [0.75]])


def test_a_file_of_independent_sequences_is_refused():
    content = bytearray(midi_bytes([tempo(120, 0)], [key(C, 50, 0)]))
    content[9] = 2
    with pytest.raises(ReleaseError, match=r"type 2, of independent sequences.*\n.*type 0 or 1"):
        read_notes(bytes(content))


def test_sounding_offsets_of_the_embedded_release_are_those_that_were_rendered(tmp_path: Path):
    score = next(score for score in SCORES if score.split == "test")
    performance = perform(score, 7)
    write_midi(performance, tmp_path / "piece.midi")
    notes = read_notes((tmp_path / "piece.midi").read_bytes())
    rendered = sorted(sounding(performance), key=lambda note: (note.onset_seconds, note.pitch))
    assert len(rendered) == len(notes.pitch) > 100
    ends = np.array([note.onset_seconds + note.held_seconds for note in rendered])
    np.testing.assert_allclose(notes.sounding_offset, ends, atol=1e-9)


def test_equal_to_pretty_midi_on_a_thousand_notes_and_fifty_tempi():
    random = np.random.default_rng(0)
    tempi = [tempo(random.uniform(40, 240), int(random.integers(1, 500))) for _ in range(50)]
    played, down = [], []
    for _ in range(1000):
        pitch = int(random.integers(21, 109))
        if pitch in down:
            played.append(key(pitch, 0, int(random.integers(1, 100))))
            down.remove(pitch)
        played.append(key(pitch, int(random.integers(1, 128)), int(random.integers(1, 100))))
        down.append(pitch)
    played += [key(pitch, 0, 10) for pitch in down]
    content = midi_bytes(tempi, played)
    (instrument,) = pretty_midi.PrettyMIDI(io.BytesIO(content)).instruments
    expected = sorted((n.start, n.pitch, n.end, n.velocity) for n in instrument.notes)
    notes = read_notes(content)
    assert len(expected) == 1000
    np.testing.assert_allclose(
        np.stack([notes.onset, notes.pitch, notes.offset, notes.velocity], 1), np.array(expected), atol=1e-6
    )


def test_no_notes_are_empty_arrays_and_no_midi_is_an_error():
    assert [len(column) for column in read_notes(midi_bytes([tempo(120, 0)]))] == [0, 0, 0, 0, 0]
    with pytest.raises(ReleaseError, match=r"9 bytes are no MIDI file that can be read.*\n.*type 0 or 1"):
        read_notes(b"no music!")


def test_notes_of_a_part():
    notes = Notes(
        np.arange(5),
        np.array([0.0, 1, 2, 3, 4]),
        np.array([1.0, 2.5, 2.2, 9, 5]),
        np.arange(5),
        np.arange(5) + 9.0,
    )
    part = notes.between(2.0, 4.0)
    assert part.pitch.tolist() == part.velocity.tolist() == [1, 2, 3]
    assert part.onset.tolist() == [-1.0, 0.0, 1.0]
    np.testing.assert_allclose(part.offset, [0.5, 0.2, 7.0])
    np.testing.assert_allclose(part.sounding_offset, [8.0, 9.0, 10.0])


# --- from a release ---


@pytest.fixture
def midi_release(tiny_release: Path) -> Path:
    """The tiny release; each recording has a MIDI file with a note at 1.25 s, but the one for validation."""
    content = midi_bytes([tempo(60, 0)], [key(C, 80, 600), key(C, 0, 240)])  # 480 ticks a second
    for path in sorted(tiny_release.rglob("*.wav")):
        if path.stem != "d":
            path.with_suffix(".midi").write_bytes(content)
    return tiny_release


@pytest.fixture
def data(tmp_path: Path) -> Callable[..., MaestroDataModule]:
    """A function that makes the prepared data module of a source."""

    def make(source: str | Path) -> MaestroDataModule:
        options = {"cache_dir": tmp_path / "cache", "clip_samples": 4000, "eval_clip_seconds": 1.0}
        module = MaestroDataModule("v3.0.0", source, progress=False, **options)  # type: ignore[arg-type]
        module.prepare_data()
        module.setup()
        return module

    return make


def test_notes_of_a_clip_begin_with_the_clip(midi_release, data):
    module = data(midi_release)
    notes = module.notes(0, start_sample=16_000, num_samples=8_000)
    assert (notes.pitch.tolist(), notes.velocity.tolist()) == ([60], [80])
    np.testing.assert_allclose([*notes.onset, *notes.offset], [0.25, 0.75])
    assert len(module.notes(0, 0, 16_000).pitch) == 0
    assert module.notes(3, 0, 16_000) is None  # no MIDI file


def test_the_cache_has_them_when_the_source_is_gone(midi_release, data):
    made = data(midi_release)
    for path in midi_release.rglob("*.*i*"):
        if path.suffix in (".wav", ".midi"):
            path.unlink()
    assert data(midi_release).notes(4, 16_000, 8_000) is not None
    assert (made.cache.folder / "2014/e.midi").is_file()


@pytest.mark.parametrize("kind", ["folder", "zip", "url"])
def test_a_cache_made_without_them_gets_them_when_asked(
    kind: str, midi_release: Path, data, web: Path, server: RangeServer, pack
):
    zipped = pack(midi_release, web / "maestro-v3.0.0.zip", zipfile.ZIP_DEFLATED)
    (web / "maestro-v3.0.0.csv").write_bytes((midi_release / "maestro-v3.0.0.csv").read_bytes())
    source = {"folder": midi_release, "zip": zipped, "url": f"{server.url}/maestro-v3.0.0.zip"}[kind]
    folder = data(source).cache.folder
    for path in folder.rglob("*.midi"):
        path.unlink()
    assert len(data(source).notes(0, 16_000, 8_000).pitch) == 1
    # only what came over the network is kept
    assert [path.name for path in folder.rglob("*.midi")] == (["a.midi"] if kind == "url" else [])


def test_a_server_that_is_away_and_a_damaged_file_give_a_warning_and_none(
    midi_release, data, web, server, pack
):
    pack(midi_release, web / "maestro-v3.0.0.zip")
    (web / "maestro-v3.0.0.csv").write_bytes((midi_release / "maestro-v3.0.0.csv").read_bytes())
    module = data(f"{server.url}/maestro-v3.0.0.zip")
    (module.cache.folder / "2014/e.midi").unlink()
    server.always.append(status(404))
    with pytest.warns(UserWarning, match=r"2014/e.midi: .*404.*used without its notes"):
        assert module.notes(4, 0, 16_000) is None
    (module.cache.folder / "2009/a.midi").write_bytes(b"MThd")
    with pytest.warns(UserWarning, match=r"2009/a.midi: 4 bytes are no MIDI file.*used without its notes"):
        assert module.notes(0, 0, 16_000) is None
    assert module.notes(0, 0, 16_000) is None  # said once


def test_a_damaged_midi_member_does_not_lose_the_recording(midi_release, tmp_path, pack):
    zipped = pack(midi_release, tmp_path / "maestro-v3.0.0.zip")
    content = bytearray(zipped.read_bytes())
    content[content.index(b"MThd")] ^= 1  # in the stored data of the first MIDI file
    zipped.write_bytes(content)
    made = Preparation("v3.0.0", zipped, tmp_path / "cache", progress=False)
    with pytest.warns(UserWarning, match=r"a\.midi: .*it is not copied"):
        made.prepare()
    cache, performances = made.open()
    assert len(performances) == 5
    assert sorted(path.name for path in cache.folder.rglob("*.midi")) == ["b.midi", "c.midi", "e.midi"]


def test_the_embedded_release_is_aligned_with_its_sound():
    module = MaestroDataModule(progress=False)
    module.prepare_data()
    module.setup()
    row = next(row for row, p in enumerate(module.performances) if p.split == "test")
    notes = module.notes(row, 0, 20 * 16_000)
    first = notes.onset[notes.onset >= 0].min()
    sound = np.abs(module.cache.pcm(row)[: 20 * 16_000, 0].astype(np.float64))
    heard = np.flatnonzero(sound > 0.02 * sound.max())[0] / 16_000
    assert len(notes.pitch) > 20
    assert heard == pytest.approx(first, abs=0.03)


def test_presses_of_a_pedal_end_where_it_comes_up_or_at_the_end() -> None:
    curve = PedalCurve(np.array([0.5, 1.0, 1.5, 2.0, 3.0]), np.array([64, 127, 63, 0, 90]))
    assert curve.presses(4.0).tolist() == [[0.5, 1.5], [3.0, 4.0]]
    assert PedalCurve(np.zeros(0), np.zeros(0, dtype=np.int64)).presses(4.0).shape == (0, 2)


@pytest.mark.parametrize(
    "late",
    [
        [key(60, 80, 2**28 - 1), key(60, 0, 1)],
        [mido.Message("control_change", control=64, value=127, time=2**28 - 1)],
    ],
)
def test_times_that_no_performance_has_are_refused(late: list[mido.Message]) -> None:
    content = midi_bytes([key(60, 80, 0), key(60, 0, 480), *late], ticks_per_beat=96)
    with pytest.raises(ReleaseError, match="lasts 388 hours by its own times"):
        read_played(content)


def test_a_late_end_of_the_file_is_no_note() -> None:
    end = mido.MetaMessage("end_of_track", time=2**28 - 1)
    assert read_notes(midi_bytes([key(60, 80, 0), key(60, 0, 96), end], ticks_per_beat=96)).offset == 0.5


def test_a_file_that_would_take_minutes_to_read_is_refused() -> None:
    with pytest.raises(ReleaseError, match=r"has 4,194,305 bytes, too many(.|\n)*at most 4,194,304"):
        read_played(bytes(LARGEST_BYTES + 1))
