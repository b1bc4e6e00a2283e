"""The extra that brings JAX for a GPU can be installed: its versions fit each other and what is installed."""

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_cuda_extra_resolves(tmp_path):
    """Nothing is installed; pip reads what the package registry says of each version."""
    report = tmp_path / "report.json"
    options = ["--dry-run", "--quiet", "--disable-pip-version-check", "--report", report]
    command = [sys.executable, "-m", "pip", "install", *options, f"bayescal[cuda] @ {ROOT.as_uri()}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    if "NewConnectionError" in done.stderr:
        pytest.skip("no package registry can be reached")
    assert done.returncode == 0, done.stderr
    chosen = {each["metadata"]["name"]: each["metadata"] for each in json.loads(report.read_text())["install"]}
    assert chosen["jax-cuda13-plugin"]["version"] == version("jax")
    assert "nvidia-cudnn-cu13" in chosen
