"""What the tool verbs share: the device, lengths, a folder of results with its manifest."""

import hashlib
import importlib
import json
import math
import re
import typing
from pathlib import Path

import jsonargparse
import numpy as np
import pytest
import soundfile
from toy_models import CLIP, RATE, make_wavegan, save

from lightning_modules.cli import tool_verbs
from lightning_modules.cli.arguments import (
    LIMITS,
    LONGEST_STEM,
    OutputFolder,
    add_tool_arguments,
    check_limits,
    num_samples_of,
    open_module,
)
from lightning_modules.errors import AudioFileError, OptionError, RunError


def parsed(*arguments: object) -> jsonargparse.Namespace:
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    add_tool_arguments(parser)
    return parser.parse_args([str(argument) for argument in arguments])


def test_the_module_is_opened_for_use_and_not_for_training(tmp_path: Path):
    module = open_module(parsed(save(make_wavegan(), tmp_path / "x.ckpt"), "--device", "cpu"))
    assert not module.training and module.device.type == "cpu"
    assert not any(parameter.requires_grad for parameter in module.parameters())


def test_a_device_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(OptionError, match=r"--device warp cannot be used(.|\n)*use cpu"):
        open_module(parsed(tmp_path / "x.ckpt", "--device", "warp"))


@pytest.mark.parametrize("name", LIMITS)
def test_numbers_have_limits(name: str):
    least, most, exclusive = LIMITS[name]
    for value in (least - 1, most * 2 + 1, math.nan, math.inf, 10**400, *([least] if exclusive else [])):
        with pytest.raises(OptionError, match=re.escape(f"--{name} is {value}\n")):
            check_limits(jsonargparse.Namespace(**{name: value}))
    for value in (most, None, *([] if exclusive else [least])):
        check_limits(jsonargparse.Namespace(**{name: value}))


def test_every_number_of_a_tool_verb_has_limits():
    unlimited = {}
    for verb in tool_verbs():
        parser = jsonargparse.ArgumentParser()
        importlib.import_module(f"lightning_modules.cli.commands.{verb}").add_arguments(parser)
        for action in parser._actions:
            kind = getattr(action, "_typehint", None)
            kinds = typing.get_args(kind) or (kind,)
            if {int, float} & set(kinds) and action.dest not in LIMITS:
                unlimited.setdefault(verb, set()).add(action.dest)
    del unlimited["prepare"]  # whose numbers the data module looks at
    assert unlimited == {"render": {"channels"}}  # each is looked at by itself


def test_seconds_become_samples():
    module = make_wavegan()
    assert (num_samples_of(None, module), num_samples_of(0.5, module)) == (CLIP, RATE // 2)
    with pytest.raises(OptionError, match="--seconds is 1e-05"):
        num_samples_of(1e-5, module)
    with pytest.raises(OptionError, match=r"--seconds is 3601.0\n.*at least 0.000125, and at most 3600"):
        num_samples_of(3601.0, module)


def test_the_manifest_says_by_how_much_a_sound_was_turned_down(tmp_path: Path):
    folder = OutputFolder("render", parsed("x.ckpt", "--output", tmp_path / "out"))
    with folder.unclipped_sink("a.wav", 8000, 1) as sink:
        sink.write(np.array([[0.0, 9.9]], dtype=np.float32))
    folder.add(sink, {})
    assert folder.files[0]["turned_down_db"] == pytest.approx(20.0)


def test_results_get_a_new_folder_and_a_manifest_that_is_written_last(tmp_path: Path):
    options = parsed("x.ckpt", "--output", tmp_path / "out")
    folder = OutputFolder("generate", options)
    waveform = np.array([[0.0, 0.5, -0.5]], dtype=np.float32)
    folder.write_clip("a.wav", waveform, 8000, {"seed": 3})
    folder.write_clip("a.wav", waveform, 8000, {})
    folder.write_bytes("b.bin", b"content", {"kind": "test"})
    assert not (folder.path / "manifest.json").exists()
    folder.write_manifest(make_wavegan(), seconds=2)
    manifest = json.loads((folder.path / "manifest.json").read_text())
    assert "turned_down_db" not in manifest["files"][0]
    assert (manifest["verb"], manifest["seconds"], manifest["options"]["checkpoint"]) == (
        "generate",
        2,
        "x.ckpt",
    )
    first, second, other = manifest["files"]
    assert (first["seed"], first["peak"]) == (3, 0.5)
    assert (
        first["sha256"]
        == second["sha256"]
        == hashlib.sha256((folder.path / "a.wav").read_bytes()).hexdigest()
    )
    assert other == {
        "file": "b.bin",
        "num_bytes": 7,
        "sha256": hashlib.sha256(b"content").hexdigest(),
        "kind": "test",
    }
    assert {path.name for path in folder.path.iterdir()} == {"a.wav", "a-2.wav", "b.bin", "manifest.json"}
    assert OutputFolder("generate", options).path == tmp_path / "out-2", "nothing is overwritten"


def test_a_long_name_is_shortened_and_keeps_its_ending(tmp_path: Path):
    folder = OutputFolder("generate", parsed("x.ckpt", "--output", tmp_path / "out"))
    with folder.sink("n" * 300 + ".wav", 8000, 1) as sink:
        sink.write(np.zeros((1, 4), dtype=np.float32))
    (written,) = folder.path.iterdir()
    assert written.name == "n" * LONGEST_STEM + ".wav"
    assert soundfile.info(written).frames == 4


def test_output_that_is_not_finite_is_refused(tmp_path: Path):
    folder = OutputFolder("generate", parsed("x.ckpt", "--output", tmp_path / "out"))
    with pytest.raises(AudioFileError, match="NaN or infinite"):
        folder.write_clip("a.wav", np.full((1, 4), np.nan, dtype=np.float32), 8000, {})
    assert folder.files == [] and list(folder.path.iterdir()) == []


def test_a_folder_that_cannot_be_made(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match=r"Cannot make the folder .*file/out(.|\n)*--output"):
        OutputFolder("generate", parsed("x.ckpt", "--output", tmp_path / "file" / "out"))


def test_a_result_never_gets_the_name_of_another_input(tmp_path: Path):
    """MAESTRO's own names end like this."""
    folder = OutputFolder("reconstruct", parsed(tmp_path / "x.ckpt", "--output", tmp_path / "out"))
    folder.reserved, names = {"x--1.wav", "x--2.wav"}, []
    for name in ("x--1.wav", "x--1.wav", "x--2.wav"):
        with folder.sink(name, RATE, 1) as sink:
            sink.write(np.zeros((1, 8), np.float32))
        names.append(sink.path.name)
    assert names == ["x--1.wav", "x--3.wav", "x--2.wav"]


def test_files_that_cannot_be_used_are_told_together_after_the_others(tmp_path: Path, capsys):
    folder = OutputFolder("render", parsed("x.ckpt", "--output", tmp_path / "out"))

    def make(path: Path) -> str:
        if path.stem != "good":
            raise AudioFileError(f"{path} is {path.stem}", "give another file")
        return folder.write_bytes("good.bin", b"content", {})

    with pytest.raises(AudioFileError) as refused:
        folder.make_each(make_wavegan(), ["bad.mid", "good.mid", "worse.mid"], make, tempo=2)
    assert (refused.value.problem, refused.value.remedy) == (
        "bad.mid is bad\nworse.mid is worse",
        "give another file",
    )
    manifest = json.loads((folder.path / "manifest.json").read_text())
    assert (manifest["tempo"], [each["file"] for each in manifest["files"]]) == (2, ["good.bin"])
    assert manifest["failed"][1] == {"source": "worse.mid", "problem": "worse.mid is worse"}
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["bad.mid  FAILED", "good.bin", "worse.mid  FAILED", f"1 of 3 file(s) in {folder.path}"]
