"""Commands that fit: fit, demo."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from bayescal.cli.results import NOT_CONVERGED, compare, leave_unless_converged, report, show_summary
from bayescal.cli.studies import Device, Seed, StudyFile, check, simulate

if TYPE_CHECKING:
    from bayescal.demo import TruthCheck
    from bayescal.inference import Result
    from bayescal.inference.checkpoint import Unfinished
    from bayescal.study import Study

METHODS = "auto|nuts|hmc|blackjax_nuts|mclmc|smc|hmcecs|svi|pathfinder|laplace|map"
INTERRUPTED = 130  # as a shell says of a program that SIGINT ended


def fit(  # noqa: PLR0913 one option each
    study: StudyFile,
    method: Annotated[str | None, typer.Option(metavar=METHODS, help="Instead of the study's.")] = None,
    output: Annotated[Path | None, typer.Option(help="Result to write (NetCDF), instead of the study's.")] = None,
    seed: Seed = None,
    device: Device = None,
    until: Annotated[
        str | None, typer.Option(metavar="GOAL", help="Draw until this holds: 'ess > 1000 and rhat < 1.01'.")
    ] = None,
    *,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an unfinished run, if there is one.")] = False,
    restart: Annotated[bool, typer.Option("--restart", help="Throw an unfinished run away and begin anew.")] = False,
) -> None:
    """Fit a study: the posterior (nuts, hmc), an approximation (svi, pathfinder, laplace), or the mode alone (map).

    auto takes laplace, a thousand log-densities beyond the mode, where its weights are good, and nuts elsewhere.

    Draws of an approximation are re-weighted to the posterior and judged by k-hat of their weights. Further samplers of
    the posterior: blackjax_nuts, mclmc (microcanonical), smc (tempered particles, for several modes), hmcecs
    (subsampling, for models with a plate that has a subsample_size).

    Needs: the study's inputs and its data. Writes: the result as NetCDF in ArviZ's layout, with everything needed to
    run it again. Prints a table of the parameters. Exit code 3: the fit did not converge; the result is written, too.

    While it runs, the folder RESULT.run keeps what it has found: after an interrupt, a crash or a kill the same command
    with --resume goes on to the same draws. Ctrl-C ends the draws and writes the result of those so far (exit code
    130); a second one leaves at once.

    Example: bayescal fit study.toml --method nuts --output result.nc --until "ess > 1000"
    """
    from bayescal.cli.machine import use_device_of

    use_device_of(study, device)
    from bayescal.study import override, read_study

    read = override(read_study(study), method=method, output=output, seed=seed, device=device, until=until)
    result = run_fit(read, unfinished_run(resume=resume, restart=restart))
    leave_unless_converged(result)


def unfinished_run(*, resume: bool, restart: bool) -> Unfinished:
    """What the options say about an unfinished run."""
    from bayescal.errors import InputError

    if resume and restart:
        raise InputError("--resume and --restart: give one of them")
    return "resume" if resume else "restart" if restart else "refuse"


def run_fit(study: Study, unfinished: Unfinished = "restart") -> Result:
    """Fit a study, write its result and print its table; leave after an interrupt."""
    from bayescal.cli.display import fit_progress
    from bayescal.cli.machine import require_writable
    from bayescal.fitting import fit_study, run_folder
    from bayescal.inference import remove_checkpoint

    require_writable(study.result_path)
    try:
        with fit_progress() as progress:
            result = fit_study(study, progress, unfinished)
        result.save(study.result_path)
    except KeyboardInterrupt:
        leave_at_once(run_folder(study))
    if not result.unfinished:
        remove_checkpoint(run_folder(study))
    show_summary(result)
    typer.echo(f"wrote {study.result_path}")
    if result.unfinished:
        typer.echo(f"{run_folder(study)} keeps the run: the same command with --resume goes on with it")
    if result.interrupted:
        raise typer.Exit(INTERRUPTED)
    return result


def leave_at_once(folder: Path) -> NoReturn:
    """Leave after an interrupt that brought no result, without waiting for threads that still compute."""
    kept = f": the same command with --resume goes on with what {folder} keeps" if folder.is_dir() else ""
    typer.echo(f"interrupted{kept}", err=True)
    if threading.active_count() > 1:
        sys.stdout.flush()
        os._exit(INTERRUPTED)
    raise typer.Exit(INTERRUPTED)


def demo(
    output: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("demo-output"),
    length: Annotated[float, typer.Option(min=50.0, help="Total length of the made tracks [cm].")] = 100.0,
    seed: Annotated[int, typer.Option(min=0, help="Seed of tracks, data and fit.")] = 1,
    device: Device = None,
) -> None:
    """Show everything on made tracks: data, mode, posterior, comparison and report.

    Needs: nothing. Writes: study.toml, segments.h5, hits.h5, map.nc, hmc.nc, comparison.png, comparison.html and
    report.html. Exit code 3: the chains did not converge, or the truth is not where it should be.

    Example: bayescal demo --output demo-output
    """
    from bayescal.cli.machine import require_writable, use_device

    require_writable(output / "report.html")
    use_device(device or "auto")
    from bayescal.demo import truth_checks, verdict, write_demo_study
    from bayescal.study import override, read_study

    path, tracks = write_demo_study(output, length, seed)
    typer.echo(f"made {tracks}: {path}")
    simulate(path, output=output / "hits.h5", device=device)
    check(path, device=device)
    study = override(read_study(path), device=device)
    run_fit(override(study, method="map", output=output / "map.nc"))
    posterior = run_fit(study)
    both = [output / "map.nc", output / "hmc.nc"]
    compare(both, output=output / "comparison.png", report=output / "comparison.html")
    report([output / "hmc.nc"], output=output / "report.html")
    show_truth(truth_checks(posterior))
    good, sentence = verdict(posterior)
    typer.echo(f"{tracks}. {'Good' if good else 'Failed'}: {sentence}")
    if not good:
        raise typer.Exit(NOT_CONVERGED)


def show_truth(checks: list[TruthCheck]) -> None:
    """Print the intervals of the demonstration beside the truth."""
    from bayescal.cli.display import show_table
    from bayescal.demo import PROBABILITY

    columns = ("parameter", "truth", f"central {PROBABILITY:.1%}", "inside")
    rows = ((c.parameter, f"{c.truth:.6g}", f"{c.low:.6g} … {c.high:.6g}", "yes" if c.good else "NO") for c in checks)
    show_table("Truth and posterior", columns, rows)
