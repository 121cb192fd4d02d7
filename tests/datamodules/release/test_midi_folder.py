"""Any folder of MIDI files, in splits."""

import shutil

import pytest

from datamodules.errors import ReleaseError
from datamodules.release.midi_folder import read_midi_folder


def test_splits_depend_on_content_and_copies_stay_together(tmp_path) -> None:
    (tmp_path / "more").mkdir()
    for number in range(20):
        (tmp_path / f"{number}.mid").write_bytes(bytes([number]))
    (tmp_path / "note.txt").write_text("no music")
    archive, performances = read_midi_folder(tmp_path)
    splits = {each.midi: each.split for each in performances}
    assert len(splits) == 20 and archive.read_bytes("3.mid") == b"\x03"
    assert [list(splits.values()).count(split) for split in ("train", "validation", "test")] == [16, 2, 2]
    for name, copy in (("3.mid", "more/z.MID"), ("11.mid", "more/y.midi")):
        shutil.copy(tmp_path / name, tmp_path / copy)
    again = {each.midi: each.split for each in read_midi_folder(tmp_path)[1]}
    assert {name: again[name] for name in splits} == splits
    assert again["more/z.MID"] == splits["3.mid"] and again["more/y.midi"] == splits["11.mid"]


def test_too_few_or_none(tmp_path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.mid").write_bytes(b"the same")
    with pytest.raises(ReleaseError, match=r"holds 1 different MIDI file\(s\)\n.*at least three"):
        read_midi_folder(tmp_path)
    with pytest.raises(ReleaseError, match="holds 0 different"):
        read_midi_folder(tmp_path / "nothing")
