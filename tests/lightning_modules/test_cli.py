"""The command line: its verbs, which are found in a folder."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lightning_modules.cli import commands, main


def test_no_arguments_names_the_verbs(capsys: pytest.CaptureFixture) -> None:
    main([])
    text = capsys.readouterr().out
    for verb in ("fit", "validate", "test", "predict"):
        assert f"\n  {verb} " in text
    assert "lightning fit --config experiments/vae.yaml" in text


def test_help_is_quick_because_torch_is_not_imported() -> None:
    program = (
        "import sys; from lightning_modules.cli import main; main(['--help']); print('torch' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "False"


def test_a_terminal_of_another_alphabet_ends_no_command() -> None:
    other = {**os.environ, "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    program = (
        "from lightning_modules.cli import main; main([]); print(b'\\xff'.decode(errors='surrogateescape'))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, env=other, check=True)
    assert b"[--KEY VALUE \\u2026]" in result.stdout and result.stdout.endswith(b"\\udcff\n")


def test_ctrl_c_is_no_bug(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    def stop(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("lightning_modules.cli.run_verb", stop)
    with pytest.raises(SystemExit) as end:
        main(["generate", "a.ckpt"])
    assert end.value.code == 130
    assert capsys.readouterr().err == "\nstopped; what was finished before is whole\n"


def test_a_reader_that_has_seen_enough_is_no_bug() -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "lightning_modules", "--help"]
    result = subprocess.run(command, stdout=write, stderr=subprocess.PIPE)
    os.close(write)
    assert (result.returncode, result.stderr) == (1, b"")


def test_unknown_verb(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["fot"])
    assert exit_.value.code == 2
    assert "'fot' is not a verb of this program" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["{}"],
        ["generate", "x", "--{}"],
        ["generate", "x", "--seed", "{} {}"],
        ["export", "x", "--format={}"],
    ],
)
def test_names_of_thousands_of_letters_are_shortened(arguments: list[str], capsys: Any) -> None:
    with pytest.raises(SystemExit):
        main([word.format("y" * 5000, "z" * 5000) for word in arguments])
    said = capsys.readouterr().err
    assert " letters) …" in said and said.count("y") > 100 and len(said) < 900


def test_a_file_in_commands_is_a_verb(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "shout.py").write_text(
        '"""Say a word loudly.\n\nMore."""\n'
        "def add_arguments(parser):\n    parser.add_argument('--word', type=str, required=True)\n"
        "def run(options):\n    print(options.word.upper())\n"
    )
    monkeypatch.setattr(commands, "__path__", [*commands.__path__, str(tmp_path)])
    main([])
    assert re.search(r"\n  shout +Say a word loudly.\n", capsys.readouterr().out)
    main(["shout", "--word", "forte"])
    assert capsys.readouterr().out == "FORTE\n"
