"""MIDI files as programs and accidents leave them: each is played, or refused in a sentence with its name."""

import json
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile
from toy_models import RATE, make_player, save

from lightning_modules.cli import main


def header(kind: int, tracks: int, division: int = 480) -> bytes:
    return b"MThd" + struct.pack(">IHHh", 6, kind, tracks, division)


def track(*events: bytes) -> bytes:
    content = b"".join(events) + bytes([0, 0xFF, 0x2F, 0])
    return b"MTrk" + struct.pack(">I", len(content)) + content


def ticks(number: int) -> bytes:
    """A delta time: seven bits a byte, the last without the high bit."""
    parts = [number & 0x7F]
    while number := number >> 7:
        parts.insert(0, number & 0x7F | 0x80)
    return bytes(parts)


def on(time: int, pitch: int, velocity: int = 90, channel: int = 0) -> bytes:
    return ticks(time) + bytes([0x90 | channel, pitch, velocity])


def off(time: int, pitch: int, channel: int = 0) -> bytes:
    return ticks(time) + bytes([0x80 | channel, pitch, 64])


def tempo(time: int, microseconds: int) -> bytes:
    return ticks(time) + bytes([0xFF, 0x51, 3]) + microseconds.to_bytes(3, "big")


NOTE = track(on(0, 60), off(480, 60))
PLAYED: dict[str, tuple[bytes, int, float]] = {
    "zero_length": (header(0, 1) + track(on(0, 60), off(0, 60), on(480, 64), off(480, 64)), 2, 1.0),
    "overlapping": (
        header(0, 1) + track(on(0, 60), on(240, 60), off(240, 60), off(240, 60), on(0, 67), off(240, 67)),
        3,
        1.0,
    ),
    # a status byte holds until the next; velocity 0 releases
    "running_status": (
        header(0, 1) + track(on(0, 60), ticks(480) + bytes([60, 0]), b"\0@Z", ticks(480) + b"@\0"),
        2,
        1.0,
    ),
    # 25 frames a second of 40 ticks: a tick is a millisecond
    "smpte_time": (header(0, 1, -25 * 256 + 40) + track(on(0, 60), off(1500, 60)), 1, 1.5),
    "tempo_changes": (
        header(1, 2)
        + track(tempo(0, 500_000), tempo(480, 1_000_000), tempo(480, 250_000))
        + track(on(0, 60), off(480, 60), on(0, 62), off(480, 62), on(0, 64), off(480, 64)),
        3,
        0.5 + 1.0 + 0.25,
    ),
    "ten_tracks": (
        header(1, 10) + b"".join(track(on(48 * n, 60 + n, 90, n), off(480, 60 + n, n)) for n in range(10)),
        9,  # the tenth channel is percussion
        0.5 + 0.4,
    ),
}
REFUSED: dict[str, tuple[bytes, str]] = {
    "corrupt": ((header(0, 1) + NOTE)[:-9] + b"\xff\xff\xff\xff\xff", "no MIDI file that can be read"),
    "no_notes": (header(0, 1) + track(tempo(0, 500_000)), "a MIDI file without notes"),
    "off_the_keyboard": (
        header(0, 1) + track(on(0, 12), off(480, 12)),
        "1 of 1 notes lie outside the 88 keys",
    ),
    "type_2": (header(2, 2) + NOTE + NOTE, "type 2, of independent sequences"),
}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(make_player(), tmp_path_factory.mktemp("models") / "player.ckpt")


Start = Callable[[dict[str, bytes]], tuple[dict, Path]]


@pytest.fixture
def render(checkpoint: Path, tmp_path: Path) -> Start:
    def start(files: dict[str, bytes]) -> tuple[dict, Path]:
        paths = [tmp_path / f"{name}.mid" for name in files]
        for path, content in zip(paths, files.values(), strict=True):
            path.write_bytes(content)
        options = ["--ring_seconds", "0", "--device", "cpu", "--output", str(tmp_path / "out")]
        try:
            main(["render", str(checkpoint), *map(str, paths), *options])
        except SystemExit:
            pass
        return json.loads((tmp_path / "out/manifest.json").read_text()), tmp_path / "out"

    return start


def test_odd_files_are_played(render: Start) -> None:
    manifest, folder = render({name: content for name, (content, _, _) in PLAYED.items()})
    assert manifest["failed"] == []
    for entry, (name, (_, notes, seconds)) in zip(manifest["files"], PLAYED.items(), strict=True):
        assert (entry["file"], entry["num_notes"]) == (f"{name}.wav", notes)
        waveform, rate = soundfile.read(folder / f"{name}.wav")
        assert len(waveform) / rate == pytest.approx(seconds, abs=1.5 / RATE), name
        assert abs(waveform).max() > 1e-3, name


def test_what_cannot_be_played_is_refused_by_name(render: Start, capsys: pytest.CaptureFixture[str]) -> None:
    good, (content, _, _) = next(iter(PLAYED.items()))  # a call that fails altogether leaves no folder
    manifest, _ = render({name: content for name, (content, _) in REFUSED.items()} | {good: content})
    assert [entry["file"] for entry in manifest["files"]] == [f"{good}.wav"]
    said = capsys.readouterr().err
    assert "Traceback" not in said
    for failed, (name, (_, reason)) in zip(manifest["failed"], REFUSED.items(), strict=True):
        assert failed["source"].endswith(f"{name}.mid") and f"{name}.mid: " in failed["problem"]
        assert reason in failed["problem"] and reason in said
