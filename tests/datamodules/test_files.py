"""A file is there as a whole or not at all; a lock is held by one process, which its file names."""

import os
import socket
import threading
from pathlib import Path

import pytest

from datamodules import files
from datamodules.files import (
    HeldError,
    NoLocksError,
    living_holder,
    lock_file,
    lock_file_in_turn,
    read_limited,
    remove_parts,
    whole_file,
    write_atomically,
)


def test_the_new_content_takes_the_name_at_the_end(tmp_path: Path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with whole_file(path) as part:
        part.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_an_error_leaves_the_old_content_and_nothing_else(tmp_path: Path, error: type[BaseException]):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(error), whole_file(path) as part:
        part.write_text("half")
        raise error
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]


def test_what_others_have_planted_is_not_followed(tmp_path: Path):
    """Links under the names that earlier versions used, and pipes, in a folder that others may write to."""
    other = tmp_path / "other.txt"
    other.write_text("mine")
    folder = tmp_path / "shared"
    folder.mkdir()
    for name in (".a.txt.part", "a.txt.part", "a.txt.partial", "a.txt"):
        (folder / name).symlink_to(other)
    write_atomically(folder / "a.txt", b"new")
    assert other.read_text() == "mine"
    assert (folder / "a.txt").read_text() == "new" and not (folder / "a.txt").is_symlink()


def test_names_cannot_be_guessed_and_files_are_made_exclusively(tmp_path: Path, monkeypatch):
    guesses = iter(["0" * 16, "1" * 16])
    monkeypatch.setattr(files.secrets, "token_hex", lambda _: next(guesses))
    other = tmp_path / "other.txt"
    other.write_text("mine")
    (tmp_path / ".a.0000000000000000.part").symlink_to(other)
    monkeypatch.setattr(files, "_remove_leftovers", lambda *_: None)
    with whole_file(tmp_path / "a") as part:
        assert part.name == ".a.1111111111111111.part"
        part.write_text("new")
    assert other.read_text() == "mine"


def test_leftovers_go_and_what_is_being_written_stays(tmp_path: Path):
    left = [tmp_path / name for name in (".a.part", ".a.0123456789abcdef.part")]
    kept = [tmp_path / name for name in (".ab.part", ".a.b.part", "a.part", ".a.0123.part")]
    for path in (*left, *kept):
        path.touch()
    with whole_file(tmp_path / "a") as first, whole_file(tmp_path / "a") as second:
        assert first.exists() and second.exists() and first != second
        first.write_text("1")
        second.write_text("2")
        assert not any(path.exists() for path in left)
    assert (tmp_path / "a").read_text() == "1"
    assert sorted(tmp_path.iterdir()) == sorted([tmp_path / "a", *kept])


def test_long_names_are_cut_between_characters(tmp_path: Path):
    path = tmp_path / ("é" * 127)
    write_atomically(path, b"x")
    assert path.read_bytes() == b"x"
    assert len(list(tmp_path.iterdir())) == 1


def test_the_mode_is_that_of_other_files(tmp_path: Path):
    (tmp_path / "usual").touch()
    write_atomically(tmp_path / "a", b"x")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_only_regular_files_of_limited_size_are_read(tmp_path: Path):
    (tmp_path / "a").write_bytes(b"abc")
    assert read_limited(tmp_path / "a", 3) == b"abc"
    with pytest.raises(OSError, match="more than 2 bytes"):
        read_limited(tmp_path / "a", 2)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    for name in ("pipe", "link", "."):
        with pytest.raises(OSError):
            read_limited(tmp_path / name, 100)
    with pytest.raises(OSError):
        read_limited(Path("/dev/zero"), 100)


def test_links_are_followed_where_that_is_asked_for(tmp_path: Path):
    (tmp_path / "a").write_bytes(b"abc")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert read_limited(tmp_path / "link", 3, follow=True) == b"abc"
    for name in ("loop", "a\0b"):
        with pytest.raises(OSError, match=r"Too many levels|null byte"):
            read_limited(tmp_path / name, 3, follow=True)


def test_remove_parts(tmp_path: Path):
    (tmp_path / "2009").mkdir()
    for name in ("2009/.x.0123456789abcdef.part", "2009/x.wav.pcm.partial", "2009/x.wav.pcm"):
        (tmp_path / name).touch()
    remove_parts(tmp_path)
    assert [path.name for path in (tmp_path / "2009").iterdir()] == ["x.wav.pcm"]


def test_a_held_lock_says_who_holds_it(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    with lock_file(path):
        assert living_holder(path).startswith(f"process {os.getpid()} on {socket.gethostname()} since 20")
        with pytest.raises(HeldError, match=f"process {os.getpid()} on"), lock_file(path):
            pass
    assert list(tmp_path.iterdir()) == []
    with lock_file(path, remove=False):
        pass
    assert path.read_bytes() == b""


def test_in_turn(tmp_path: Path) -> None:
    path, told, order = tmp_path / "a.lock", [], []

    def second() -> None:
        with lock_file_in_turn(path, told.append):
            order.append("second")

    with lock_file_in_turn(path, told.append):
        thread = threading.Thread(target=second)
        thread.start()
        while not told:
            thread.join(0.01)
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"] and told[0].startswith(f"process {os.getpid()} on")


@pytest.mark.parametrize(
    ("content", "lives"),
    [
        ("", False),
        ("nobody", False),
        (f"process {os.getpid()} on {socket.gethostname()} since 2026", True),
        (f"process 4194305 on {socket.gethostname()} since 2026", False),
        (f"process {10**30} on {socket.gethostname()}", False),
        ("process 1 on another-machine since 2026", True),
    ],
    ids=["empty", "no holder", "this process", "a dead process", "no number of a process", "another machine"],
)
def test_whether_a_holder_lives(tmp_path: Path, content: str, lives: bool) -> None:
    (tmp_path / "a.lock").write_text(content)
    assert living_holder(tmp_path / "a.lock") == (content if lives else "")


def test_a_file_that_cannot_be_made_is_no_file_system_without_locks(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught, lock_file(tmp_path / "absent" / "a.lock"):
        pass
    assert not isinstance(caught.value, NoLocksError)
