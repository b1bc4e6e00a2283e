"""Progress without a terminal."""

from bayescal.cli.display import PlainProgress, fit_progress, status
from bayescal.inference.progress import Progress


def test_the_line_names_the_stage_once():
    line = status(Progress("draws", 30, 500, 1200, 2, 0.512, "draws 30 of 500, 2 divergences, step size 0.512"))
    assert line == "draws 30 of 500, 2 divergences, step size 0.512, 1200 gradients"
    assert status(Progress("map", 3, 100, 17)) == "map: 3 of 100, 17 gradients"


def test_plain_lines_come_at_changes_and_ends(capsys):
    with PlainProgress() as show:
        for done in range(1, 6):
            show(Progress("map", done, 5, done))
        show(Progress("draws", 1, 5, 10))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("] ")[1].split(",")[0] for line in lines] == ["map: 1 of 5", "map: 5 of 5", "draws: 1 of 5"]


def test_no_bar_without_a_terminal(capsys):
    capsys.readouterr()
    assert isinstance(fit_progress(), PlainProgress)
