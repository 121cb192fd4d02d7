"""The folder of audio that a test leaves."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from toy_results import write_tested_run

from lightning_modules.errors import ReportError
from lightning_modules.reports.listening_set import (
    Clip,
    ListeningSet,
    Note,
    read_audio,
    read_listening_set,
    write_listening_set,
)


def content(**changes) -> ListeningSet:
    notes = (Note(60, -0.25, 0.5, 100),)
    clip = Clip("2009/a.wav", "Sonata", "Haydn", 16.0, 2.0, "clip_0_original.wav", None, notes)
    values = {"clips": (clip,), "samples": (), "checkpoint": None, "data": {"release": "mini"}}
    return ListeningSet(**{"model": "m.M", "step": 3, "sample_rate": 8000, **values, **changes})


def test_what_is_written_is_read(tmp_path: Path):
    audio = np.linspace(-1.0, 1.0, 2 * 100, dtype=np.float32).reshape(2, 100)
    write_listening_set(tmp_path, content(), {"clip_0_original.wav": audio})
    assert read_listening_set(tmp_path) == content()
    np.testing.assert_allclose(read_audio(tmp_path, "clip_0_original.wav"), audio, atol=1 / 32768)
    info = soundfile.info(tmp_path / "listening" / "clip_0_original.wav")
    assert (info.subtype, info.samplerate, info.channels) == ("PCM_16", 8000, 2)
    assert [path.name for path in tmp_path.iterdir()] == ["listening"]


def test_a_manifest_of_before_there_were_pieces(tmp_path: Path):
    audio = np.zeros((1, 100), dtype=np.float32)
    write_listening_set(tmp_path, content(), {"clip_0_original.wav": audio})
    manifest = tmp_path / "listening/listening.json"
    values = json.loads(manifest.read_text())
    assert values.pop("pieces") == []
    manifest.write_text(json.dumps(values))
    assert read_listening_set(tmp_path) == content()


def test_what_is_no_sound_becomes_silence_or_full_scale(tmp_path: Path):
    audio = np.array([[np.nan, np.inf, -np.inf, 3.0, 0.5]], dtype=np.float32)
    write_listening_set(tmp_path, content(), {"clip_0_original.wav": audio})
    expected = [[0.0, 32767 / 32768, -1.0, 32767 / 32768, 0.5]]
    np.testing.assert_allclose(read_audio(tmp_path, "clip_0_original.wav"), expected, atol=1 / 32768)


def test_a_half_written_folder_of_an_earlier_try_is_replaced(tmp_path: Path):
    (tmp_path / "listening.part").mkdir()
    (tmp_path / "listening.part" / "old.wav").touch()
    write_listening_set(tmp_path, content(), {"clip_0_original.wav": np.zeros((1, 8), np.float32)})
    assert sorted(path.name for path in (tmp_path / "listening").iterdir()) == [
        "clip_0_original.wav",
        "listening.json",
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, "is not of format 1"),
        ({"samples": ["../../secret.wav"]}, r"names the file '\.\./\.\./secret\.wav', which is not in its"),
        ({"samples": ["absent.wav"]}, "names the file 'absent.wav', which is not in its folder"),
        ({"clips": [{"title": "x"}]}, r"is damaged"),
        ({"surprise": 1}, r"is damaged .*surprise"),
    ],
)
def test_manifests_that_cannot_be_trusted(tmp_path: Path, change: dict, message: str):
    path = write_tested_run(tmp_path / "run") / "listening" / "listening.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ReportError, match=message):
        read_listening_set(tmp_path / "run" / "test")


def test_no_manifest_and_no_json(tmp_path: Path):
    with pytest.raises(ReportError, match=r"listening.json cannot be read \(No such file"):
        read_listening_set(tmp_path)
    (tmp_path / "listening").mkdir()
    (tmp_path / "listening" / "listening.json").write_text("{")
    with pytest.raises(ReportError, match=r"listening\.json is not JSON"):
        read_listening_set(tmp_path)


def test_audio_that_is_none(tmp_path: Path):
    root = write_tested_run(tmp_path / "run")
    (root / "listening" / "sample_0.wav").write_bytes(b"no audio")
    with pytest.raises(ReportError, match=r"sample_0.wav cannot be read .*\n.*lightning test"):
        read_audio(root, "sample_0.wav")


def test_a_link_in_the_folder_is_not_followed(tmp_path: Path):
    """A set from elsewhere must not put sound of this machine into a page."""
    write_listening_set(tmp_path, content(), {"clip_0_original.wav": np.zeros((1, 8), np.float32)})
    path = tmp_path / "listening" / "clip_0_original.wav"
    path.rename(tmp_path / "private.wav")
    path.symlink_to(tmp_path / "private.wav")
    with pytest.raises(ReportError, match="which is not in its folder"):
        read_listening_set(tmp_path)
    with pytest.raises(ReportError, match="cannot be read"):
        read_audio(tmp_path, "clip_0_original.wav")


def test_a_small_file_that_promises_hours(tmp_path: Path):
    path = tmp_path / "listening" / "sample_0.wav"
    path.parent.mkdir()
    soundfile.write(path, np.zeros(16_000, np.float32), 16_000, format="FLAC")
    header = bytearray(path.read_bytes())
    header[22:26] = b"\xff\xff\xff\xff"  # low bits of the number of samples
    path.write_bytes(header)
    with pytest.raises(ReportError, match=r"has [\d,]+ samples, too many for a page"):
        read_audio(tmp_path, "sample_0.wav")
