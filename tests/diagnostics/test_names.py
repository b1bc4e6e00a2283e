from pathlib import Path

import pytest

from bayescal.diagnostics.names import file_names
from bayescal.errors import InputError


def test_methods_name_results_and_files_where_they_do_not_tell(map_result, nuts_result):
    assert file_names([Path("map.nc"), Path("nuts.nc")], [map_result, nuts_result]) == ("MAP", "NUTS")
    three = [Path("map.nc"), Path("run_1.nc"), Path("run_2.nc")]
    assert file_names(three, [map_result, nuts_result, nuts_result]) == ("MAP", "NUTS (run_1)", "NUTS (run_2)")
    assert file_names(three[1:], [nuts_result, nuts_result]) == ("run_1", "run_2")


def test_folders_are_named_as_far_as_they_are_needed(nuts_result):
    paths = [Path("2026/may/nuts.nc"), Path("2026/june/nuts.nc"), Path("2025/june/nuts.nc")]
    assert file_names(paths, [nuts_result] * 3) == ("2026/may/nuts", "2026/june/nuts", "2025/june/nuts")


def test_a_file_given_twice_is_refused(nuts_result):
    with pytest.raises(InputError, match=r"nuts.nc: this result is given 2 times; give each result once"):
        file_names([Path("a/../nuts.nc"), Path("nuts.nc")], [nuts_result] * 2)
