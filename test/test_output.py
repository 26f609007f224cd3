"""Output folders are whole or absent."""

import errno
import os

import pytest

from occflow_ros.errors import OutputError
from occflow_ros.output import output_file, output_folder, write_text


def test_the_folder_appears_when_the_block_ends(tmp_path):
    target = tmp_path / "deep/er/out"
    with output_folder(target) as folder:
        (folder / "a.txt").write_text("a")
        assert not target.exists()
    assert (target / "a.txt").read_text() == "a"
    assert [path.name for path in target.parent.iterdir()] == ["out"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ValueError])
def test_nothing_remains_where_the_block_fails(tmp_path, error):
    with pytest.raises(error), output_folder(tmp_path / "out") as folder:
        (folder / "a.txt").write_text("a")
        raise error
    assert list(tmp_path.iterdir()) == []


def test_an_occupied_folder_needs_overwrite(tmp_path):
    target = tmp_path / "out"
    target.mkdir()
    (target / "old.txt").write_text("old")
    with (
        pytest.raises(OutputError, match=r"out: folder is not empty; give --overwrite"),
        output_folder(target),
    ):
        pass
    with output_folder(target, overwrite=True) as folder:
        (folder / "new.txt").write_text("new")
        assert (target / "old.txt").exists()
    assert [path.name for path in target.iterdir()] == ["new.txt"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_failed_overwrite_keeps_the_old_folder(tmp_path):
    target = tmp_path / "out"
    target.mkdir()
    (target / "old.txt").write_text("old")
    with pytest.raises(KeyboardInterrupt), output_folder(target, overwrite=True):
        raise KeyboardInterrupt
    assert (target / "old.txt").read_text() == "old"


def test_an_empty_folder_may_be_filled(tmp_path):
    (tmp_path / "out").mkdir()
    with output_folder(tmp_path / "out") as folder:
        (folder / "a.txt").write_text("a")
    assert (tmp_path / "out/a.txt").exists()


def test_a_file_is_not_a_folder(tmp_path):
    (tmp_path / "out").write_text("")
    with (
        pytest.raises(OutputError, match="expected a folder or nothing there, found a file"),
        output_folder(tmp_path / "out", overwrite=True),
    ):
        pass


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(OutputError, match=r"file/out: cannot be written: Not a directory"),
        output_folder(tmp_path / "file/out"),
    ):
        pass


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    target = tmp_path / "numbers.json"
    write_text(target, "old")
    with pytest.raises(KeyboardInterrupt), output_file(target) as partial:
        partial.write_text("ne")
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.iterdir()] == ["numbers.json"]
    assert target.read_text() == "old"


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"file/a.json: cannot be written: Not a directory"):
        write_text(tmp_path / "file/a.json", "{}")


def test_a_full_disk_is_an_output_error(tmp_path):
    with (
        pytest.raises(OutputError, match=r"out: cannot be written: No space left on device"),
        output_folder(tmp_path / "out"),
    ):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_the_working_folder_is_never_replaced(tmp_path, monkeypatch):
    (tmp_path / "out/inner").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "out/inner")
    with (
        pytest.raises(OutputError, match="expected a folder for output only"),
        output_folder(tmp_path / "out", overwrite=True),
    ):
        pass
