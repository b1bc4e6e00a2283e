"""The wheel holds the package and its model files, and nothing else."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel_files(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def _sources(folder: Path, pattern: str) -> set[str]:
    return {path.relative_to(ROOT).as_posix() for path in folder.rglob(pattern)}


def test_only_the_package_is_at_top_level(wheel_files: set[str]) -> None:
    tops = {name.split("/")[0] for name in wheel_files}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"bayescal"}


def test_every_module_is_inside(wheel_files: set[str]) -> None:
    assert _sources(ROOT / "bayescal", "*.py") <= wheel_files


def test_model_files_are_inside_the_package(wheel_files: set[str]) -> None:
    models = {f"bayescal/{name}" for name in _sources(ROOT / "models", "*.py")}
    assert models
    assert models <= wheel_files


def test_detectors_are_inside(wheel_files: set[str]) -> None:
    assert "bayescal/detectors/module0.toml" in wheel_files


def test_license_is_inside(wheel_files: set[str]) -> None:
    assert any(name.endswith("licenses/LICENSE") for name in wheel_files)
