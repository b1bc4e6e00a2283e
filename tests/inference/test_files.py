"""Files that are whole or not there."""

import os

import pytest

from bayescal.inference.files import replacing


def test_content_takes_the_place_of_the_old(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_the_mask_of_permissions_is_kept(tmp_path):
    before = os.umask(0o027)
    try:
        with replacing(tmp_path / "file") as temporary:
            temporary.touch()
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("name", ["fsync", "replace"])
def test_a_fault_leaves_the_old_content(tmp_path, monkeypatch, name):
    def fault(*arguments):
        raise OSError(28, "No space left on device")

    path = tmp_path / "file"
    path.write_text("old")
    monkeypatch.setattr(os, name, fault)
    with pytest.raises(OSError, match="No space left"), replacing(path) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
