"""Commands that question a calibration: validate, loo, residuals."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bayescal.cli.results import NOT_CONVERGED, ResultFile
from bayescal.cli.studies import Device, Seed, StudyFile

if TYPE_CHECKING:
    from bayescal.diagnostics.validation import Validation
    from bayescal.validation.store import Row

SECONDS_BETWEEN_LINES = 10.0


def validate(  # noqa: PLR0913 each is an option of the command
    study: StudyFile,
    replicas: Annotated[int, typer.Option(min=1, help="Made data sets; 200 show widths that are wrong by 20 %.")] = 200,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; half of the cores by default.")] = None,
    shard: Annotated[str, typer.Option(metavar="i/n", help="Make part i of n only, for several machines.")] = "1/1",
    output: Annotated[Path | None, typer.Option(help="Folder; STUDY with -validation by default.")] = None,
    method: Annotated[
        str | None, typer.Option(metavar="chain|laplace|fit", help="How to draw; by the study's method by default.")
    ] = None,
    draws: Annotated[int, typer.Option(min=19, help="Independent draws of each posterior.")] = 79,
    merge: Annotated[bool, typer.Option("--merge", help="Make no replica; judge those in the folder.")] = False,  # noqa: FBT002
    seed: Seed = None,
    device: Device = None,
) -> None:
    """Show that a study's posteriors mean what they say: ranks and coverage over many made data sets.

    Constants are drawn from the study's priors, data from its model, and their posterior is drawn from: if all is
    right, the ranks of the true constants among the draws are uniform and central intervals cover at their rate.

    The posteriors are drawn from, by --method, with short chains whitened at the mode and thinned to near independence
    (chain, which stands for nuts), with importance draws at the mode (laplace: cheaper, where posteriors are nearly
    normal), or with the study's own fit in full (fit: what `bayescal fit` does, and as slow).

    Needs: the study's inputs and priors; no data. Replicas are written as they finish: a killed run goes on where it
    was, and more --replicas add to those that are there. On several machines run parts, copy the files
    replicas-*.jsonl into one folder and run with --merge.

    Writes: validation.json, ecdf.png, coverage.png and the replicas. Exit code 3: not calibrated, or too many replicas
    failed; 0 also where a part is done and others are missing.

    Example: bayescal validate study.toml --replicas 200 --workers 8
    """
    from bayescal.cli.machine import require_writable, use_device_of

    use_device_of(study, device)
    from bayescal.study import override, read_study
    from bayescal.validation.run import Job, describe, run, usual_workers
    from bayescal.validation.settings import parse_shard, study_settings
    from bayescal.validation.store import read_folder

    part = parse_shard(shard)
    read = override(read_study(study), seed=seed, device=device)
    job = Job(study, study_settings(read, method, draws))
    folder = output or study.with_name(f"{study.stem}-validation")
    require_writable(folder / "validation.json")
    if not merge:
        run(job, folder, replicas, part, workers or usual_workers(), ShowReplicas())
    rows = read_folder(folder, describe(read, job.settings)["fingerprint"])
    rows = [row for row in rows if merge or row.replica < replicas]
    if part.parts > 1 and len(rows) < replicas:
        typer.echo(f"part {shard} is done; {len(rows)} of {replicas} replicas are in {folder}, judge all with --merge")
        return
    judge(rows, draws, folder)


def judge(rows: list[Row], draws: int, folder: Path) -> None:
    """Write and print the verdict on replicas; leave with code 3 where it is bad."""
    import json

    from bayescal.cli.display import show_table
    from bayescal.diagnostics.files import write_figure, write_text
    from bayescal.diagnostics.plots_validation import coverage_figure, ecdf_figure
    from bayescal.diagnostics.validation import LEVELS, validation

    faults = {row.replica: row.fault for row in rows if row.fault}
    outcome: Validation = validation([row.ranks for row in rows], draws, faults)
    write_text(folder / "validation.json", json.dumps(outcome.as_json(), indent=1))
    write_figure(ecdf_figure(outcome), folder / "ecdf.png")
    write_figure(coverage_figure(outcome), folder / "coverage.png")
    columns = ("quantity", "ranks uniform, p", *(f"coverage of {level:.0%}" for level in LEVELS))
    show_table(f"{outcome.replicas} replicas, {draws} draws each", columns, outcome.table())
    typer.echo(f"wrote {folder / 'validation.json'}, ecdf.png and coverage.png")
    typer.echo(outcome.sentence)
    if not outcome.good:
        raise typer.Exit(NOT_CONVERGED)


class ShowReplicas:
    """A line on standard output every ten seconds, at the end, and for each replica that failed."""

    def __init__(self) -> None:
        self._start = self._last = time.monotonic()

    def __call__(self, done: int, total: int, row: Row) -> None:
        """Tell of a finished replica."""
        from bayescal.cli.display import duration

        now = time.monotonic()
        if row.fault:
            typer.echo(f"replica {row.replica}: {row.fault}")
        if done < total and now - self._last < SECONDS_BETWEEN_LINES:
            return
        self._last = now
        typer.echo(f"[{duration(now - self._start)}] {done} of {total} replicas, the last took {duration(row.seconds)}")


def loo(
    result: ResultFile,
    output: Annotated[Path | None, typer.Option(help="Figure to write; RESULT with -loo.png by default.")] = None,
    count: Annotated[int, typer.Option(min=1, help="Events in the table.")] = 10,
) -> None:
    """Find events that the model does not expect, by leave-one-out predictive densities (PSIS-LOO).

    A strong negative pull: the event is recorded as the model would hardly record it, whatever the constants (a wrong
    charge, a wrong track). A k-hat above its limit: the event moves the posterior by itself.

    Needs: a result of nuts or laplace; the log-likelihoods of its events were stored by the fit. Writes: the figure.

    Example: bayescal loo nuts.nc
    """
    from bayescal.cli.machine import require_writable, use_cpu_if_idle

    use_cpu_if_idle()
    from bayescal.cli.display import show_table
    from bayescal.diagnostics.files import write_figure
    from bayescal.diagnostics.loo import HEADERS, leave_one_out, loo_figure
    from bayescal.inference import load

    found = leave_one_out(load(result))
    target = require_writable(output or result.with_name(f"{result.stem}-loo.png"))
    show_table("Least expected events", HEADERS, found.table(count))
    write_figure(loo_figure(found), target)
    typer.echo(f"wrote {target}")
    typer.echo(found.sentence)


def residuals(
    result: ResultFile,
    output: Annotated[Path | None, typer.Option(help="Map to write; RESULT with -residuals.png by default.")] = None,
    count: Annotated[int, typer.Option(min=1, help="Readouts in the table.")] = 10,
) -> None:
    """List the readouts (pixels) that recorded most unlike data made with the posterior, and map all of them.

    Needs: a result of nuts or laplace whose model names its readouts; the residuals were stored by the fit. Writes:
    the map of pulls, and beside it, with -pit, the histogram of the PITs, which is flat where the model is right.

    Example: bayescal residuals nuts.nc
    """
    from bayescal.cli.machine import require_writable, use_cpu_if_idle

    use_cpu_if_idle()
    from bayescal.cli.display import show_table
    from bayescal.diagnostics import residuals as by_readout
    from bayescal.diagnostics.files import write_figure
    from bayescal.inference import load

    found = by_readout.residuals(load(result))
    target = require_writable(output or result.with_name(f"{result.stem}-residuals.png"))
    show_table("Largest residuals", found.headers, found.table(count))
    figures = {
        target: by_readout.residual_map,
        target.with_name(f"{target.stem}-pit{target.suffix}"): by_readout.pit_figure,
    }
    for path, draw in figures.items():
        write_figure(draw(found), path)
        typer.echo(f"wrote {path}")
    typer.echo(found.sentence)
