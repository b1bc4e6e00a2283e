"""The command that fits."""

from typing import get_args

from bayescal.cli.fits import METHODS
from bayescal.inference.settings import Method


def test_help_names_every_method():
    assert sorted(METHODS.split("|")) == sorted(get_args(Method))
