import pytest

from bayescal.errors import InputError
from bayescal.study import override, read_study
from bayescal.validation.settings import Shard, parse_shard, study_settings


def test_parts_hold_each_replica_once():
    parts = [parse_shard(f"{part}/3") for part in (1, 2, 3)]
    assert sorted(number for part in parts for number in part.numbers(10)) == list(range(10))
    assert [part.suffix for part in parts] == ["-1-of-3", "-2-of-3", "-3-of-3"]
    assert Shard().suffix == ""


@pytest.mark.parametrize("text", ["0/3", "4/3", "3", "a/b", "1/", "-1/2"])
def test_wrong_parts(text):
    with pytest.raises(InputError, match="--shard: expected i/n with i from 1 to n"):
        parse_shard(text)


def test_the_way_to_draw_follows_the_study(pads):
    study = read_study(pads())
    assert study_settings(study).method == "chain"
    assert study_settings(override(study, method="laplace", seed=9)).method == "laplace"
    assert study_settings(study, "fit", 99).draws == 99
    assert study_settings(override(study, seed=9)).seed == 9


def test_ways_that_do_not_work(pads):
    study = read_study(pads())
    with pytest.raises(InputError, match=r"study\.toml \[sampler\]: method = \"map\" gives no posterior"):
        study_settings(override(study, method="map"))
    with pytest.raises(InputError, match="--method: expected one of chain, laplace, fit, got 'nuts'"):
        study_settings(study, "nuts")
