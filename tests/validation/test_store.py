import pytest

from bayescal.errors import InputError
from bayescal.validation.store import Row, Store, read_folder, read_rows

HEADER = {"fingerprint": "abc", "model": "pads"}
ROWS = [Row(n, {"gain": n}, {"gain": 1.0 + n}, fault="late" * (n == 2), ess=70.5, seconds=0.1) for n in range(4)]


def written(path, rows, header=HEADER):
    store = Store(path, header)
    for row in rows:
        store.append(row)
    store.close()


def test_rows_come_back(tmp_path):
    written(tmp_path / "replicas.jsonl", ROWS)
    assert read_rows(tmp_path / "replicas.jsonl") == ROWS


def test_a_killed_run_leaves_a_line_that_does_not_count(tmp_path):
    path = tmp_path / "replicas.jsonl"
    written(path, ROWS[:2])
    with path.open("a") as file:
        file.write('{"replica": 2, "ran')
    assert read_rows(path) == ROWS[:2]
    written(path, ROWS[2:])
    assert read_rows(path) == ROWS


def test_a_run_killed_in_the_first_line_starts_anew(tmp_path):
    path = tmp_path / "replicas.jsonl"
    path.write_text('{"format": "bayes')
    written(path, ROWS)
    assert read_rows(path) == ROWS


def test_parts_are_one_validation(tmp_path):
    written(tmp_path / "replicas-2-of-2.jsonl", ROWS[1::2])
    written(tmp_path / "replicas-1-of-2.jsonl", ROWS[::2])
    written(tmp_path / "replicas.jsonl", [Row(1, {"gain": 9})])  # a replica that another part has already
    assert read_folder(tmp_path, "abc") == ROWS
    assert read_folder(tmp_path / "nowhere", "abc") == []


def test_rows_of_others_are_refused(tmp_path):
    path = tmp_path / "replicas.jsonl"
    written(path, ROWS)
    before = path.read_text()
    with pytest.raises(InputError, match=r"replicas\.jsonl: its replicas belong to another study"):
        Store(path, {"fingerprint": "other"})
    with pytest.raises(InputError, match="belong to another study"):
        read_folder(tmp_path, "other")
    assert path.read_text() == before
    path.write_text("no JSON\n")
    with pytest.raises(InputError, match="not a file of replicas"):
        read_folder(tmp_path, "abc")


def test_rows_that_are_none(tmp_path):
    path = tmp_path / "replicas.jsonl"
    written(path, ROWS)
    path.write_text(path.read_text() + '{"number": 3}\n')
    with pytest.raises(InputError, match=r"replicas\.jsonl: a row is no replica"):
        read_rows(path)


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"):
        Store(tmp_path / "file" / "replicas.jsonl", HEADER)
