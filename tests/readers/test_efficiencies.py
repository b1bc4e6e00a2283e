import numpy as np
import pytest

from bayescal.errors import InputError
from bayescal.readers.efficiencies import read_efficiencies


def test_one_number_a_line(tmp_path):
    path = tmp_path / "tubes.txt"
    path.write_text("# of last year\n1.02\n0.97 # replaced\n1.01\n")
    np.testing.assert_array_equal(read_efficiencies(path, 3), [1.02, 0.97, 1.01])


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("1.0\n1.0\n", "the file has 2 sensors, the detector has 3"),
        ("1.0\n0.0\n1.0\n", "the efficiency of sensor 1 is 0; write one above zero"),
        ("1.0\nnan\n1.0\n", "the efficiency of sensor 1 is nan"),
        ("1 2\n1 2\n1 2\n", "has 2 numbers a line; write one efficiency a line"),
        ("1.0\nhigh\n1.0\n", "cannot be read as one efficiency a line"),
    ],
)
def test_bad_files_are_one_sentence(tmp_path, text, sentence):
    path = tmp_path / "tubes.txt"
    path.write_text(text)
    with pytest.raises(InputError, match=rf"tubes\.txt: .*{sentence}"):
        read_efficiencies(path, 3)


def test_no_such_file(tmp_path):
    with pytest.raises(InputError, match=r"tubes\.txt: cannot be read as one efficiency a line"):
        read_efficiencies(tmp_path / "tubes.txt", 3)
