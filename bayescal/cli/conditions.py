"""Commands on a database of constants: bayescal constants create, add, at, show, list, history, freeze."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from bayescal.conditions import ConstantsDatabase, View

HELP = """Keep constants with intervals of validity, and look up those of a time.

A database is a SQLite file, or one of PostgreSQL by its URL. It is only ever added to: nothing is changed or deleted, a
new calibration supersedes older ones where their intervals overlap. Times need a zone: 2026-01-01T00:00Z, or an offset
such as 2026-01-01T00:00-06:00; they are stored and shown in UTC. An interval holds its start, not its end.

\b
  bayescal constants create
  bayescal constants add nuts.nc --detector module0 --from 2026-01-01T00:00Z
  bayescal constants at 2026-02-01T12:00Z --yaml constants.yaml
"""
MAX_NUMBER = 2**31 - 1

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

DatabaseAddress = Annotated[
    str,
    typer.Option(metavar="FILE|URL", envvar="BAYESCAL_DATABASE", help="SQLite file, or postgresql://USER@HOST/NAME."),
]
Detector = Annotated[str | None, typer.Option(help="Name of the detector; the only one there is by default.")]
Tag = Annotated[str, typer.Option(help="Series that the calibration belongs to.")]
AsOf = Annotated[str | None, typer.Option(metavar="TIME", help="See only what had been inserted by then.")]
GlobalTag = Annotated[str | None, typer.Option(help="Look up in a view that `freeze` gave this name.")]
Author = Annotated[str | None, typer.Option(help="Who adds this; your login name by default.")]
Comment = Annotated[str, typer.Option(help="One line for people.")]
YamlFile = Annotated[Path | None, typer.Option(help="File of constants that larnd-sim reads.")]
JsonFile = Annotated[Path | None, typer.Option(help="File of estimates, intervals and covariance.")]
CsvFile = Annotated[Path | None, typer.Option(help="Table of estimates and intervals.")]
CovarianceFile = Annotated[Path | None, typer.Option(help="Table (CSV) of covariance and correlation.")]

DEFAULT_DATABASE = "constants.sqlite"
DEFAULT_TAG = "default"


@app.callback(help=HELP)
def leave_gpu_alone() -> None:
    """Nothing here computes; called before what imports JAX's users."""
    from bayescal.cli.machine import use_cpu_if_idle

    use_cpu_if_idle()


@app.command()
def create(database: DatabaseAddress = DEFAULT_DATABASE) -> None:
    """Make an empty database of constants.

    A database of PostgreSQL must be there; this makes its tables.

    Example: bayescal constants create --database postgresql://calibration@db.example.org/constants
    """
    from bayescal.conditions import create_database

    typer.echo(f"made {create_database(database).name}")


@app.command()
def add(
    result: Annotated[Path, typer.Argument(metavar="RESULT", help="Result (NetCDF) that `bayescal fit` wrote.")],
    *,
    detector: Annotated[str, typer.Option(help="Name of the detector.")],
    start: Annotated[str, typer.Option("--from", metavar="TIME", help="When the constants begin to hold.")],
    end: Annotated[
        str | None, typer.Option("--to", metavar="TIME", help="When they cease to; never by default.")
    ] = None,
    tag: Tag = DEFAULT_TAG,
    constant: Annotated[
        list[str] | None, typer.Option(help="Add this constant only, a vector with all its members; may be repeated.")
    ] = None,
    even_if_not_converged: Annotated[
        bool, typer.Option("--even-if-not-converged", help="Add a result that did not converge; it is marked.")
    ] = False,
    author: Author = None,
    comment: Comment = "",
    database: DatabaseAddress = DEFAULT_DATABASE,
) -> None:
    """Add the constants of a result, with an interval of validity.

    Stored are all its scalar constants with units, intervals and covariance, its method, verdict, digest and
    provenance, who added them and when. Later additions win wherever intervals of one detector and tag overlap.

    Example: bayescal constants add nuts.nc --detector module0 --from 2026-01-01T00:00Z --to 2026-02-01T00:00Z
    """
    from bayescal.conditions import (
        Calibration,
        Origin,
        Validity,
        file_source,
        open_database,
        parse_time,
        read_estimates,
        this_author,
    )

    validity = Validity(parse_time(start, "--from"), None if end is None else parse_time(end, "--to"))
    origin = Origin(this_author() if author is None else author, comment)
    opened = open_database(database)
    estimates = read_estimates(result, constant or ())
    calibration = Calibration(detector, validity, estimates, file_source(result), origin, tag)
    insert = opened.add_even_if_not_converged if even_if_not_converged else opened.add
    stored = insert(calibration)
    names = ", ".join(estimate.name for estimate in estimates.constants)
    typer.echo(f"added calibration {stored.number} of {detector} (tag {tag}), valid {validity}: {names}")


@app.command()
def at(
    time: Annotated[str, typer.Argument(metavar="TIME", help="The time to look up, 2026-01-01T00:00Z.")],
    detector: Detector = None,
    tag: Tag = DEFAULT_TAG,
    as_of: AsOf = None,
    global_tag: GlobalTag = None,
    yaml: YamlFile = None,
    json: JsonFile = None,
    csv: CsvFile = None,
    covariance: CovarianceFile = None,
    database: DatabaseAddress = DEFAULT_DATABASE,
) -> None:
    """Look up the constants of a time: of the calibrations that cover it, the one added last.

    It prints as of when it looked; the same look-up with that --as-of gives the same answer for good.

    Example: bayescal constants at 2026-01-15T08:30Z --detector module0 --as-of 2026-03-01T00:00Z --yaml constants.yaml
    """
    from bayescal.cli.stored import Files, show_calibration
    from bayescal.conditions import open_database, parse_time

    wanted = parse_time(time, "TIME")
    opened = open_database(database)
    view = view_of(opened, tag, as_of, global_tag)
    stored = opened.at(wanted, detector or only_detector(opened, view), view)
    show_calibration(stored, Files(yaml, json, csv, covariance), view)


@app.command()
def show(
    number: Annotated[int, typer.Argument(metavar="NUMBER", min=1, max=MAX_NUMBER, help="Number of a calibration.")],
    yaml: YamlFile = None,
    json: JsonFile = None,
    csv: CsvFile = None,
    covariance: CovarianceFile = None,
    database: DatabaseAddress = DEFAULT_DATABASE,
) -> None:
    """Show one calibration by its number, superseded or not.

    Example: bayescal constants show 12 --json constants.json
    """
    from bayescal.cli.stored import Files, show_calibration
    from bayescal.conditions import open_database

    show_calibration(open_database(database).get(number), Files(yaml, json, csv, covariance))


@app.command("list")
def list_calibrations(
    detector: Annotated[str | None, typer.Option(help="List those of one detector only.")] = None,
    tag: Annotated[str | None, typer.Option(help="List those of one tag only.")] = None,
    as_of: AsOf = None,
    database: DatabaseAddress = DEFAULT_DATABASE,
) -> None:
    """List all calibrations in the order in which they were added, and the global tags.

    Example: bayescal constants list --detector module0
    """
    from bayescal.cli.stored import show_list
    from bayescal.conditions import open_database, parse_time

    opened = open_database(database)
    time = None if as_of is None else parse_time(as_of, "--as-of")
    show_list(opened.calibrations(detector, tag, time), opened.frozen())


@app.command()
def history(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of a constant.")],
    detector: Detector = None,
    tag: Tag = DEFAULT_TAG,
    as_of: AsOf = None,
    global_tag: GlobalTag = None,
    csv: Annotated[Path | None, typer.Option(help="Table of the history, to plot.")] = None,
    database: DatabaseAddress = DEFAULT_DATABASE,
) -> None:
    """Show one constant over time: in each period the value that `at` gives, with its intervals.

    Example: bayescal constants history lifetime --detector module0 --csv lifetime.csv
    """
    from bayescal.cli.stored import show_history
    from bayescal.conditions import history as history_of
    from bayescal.conditions import open_database

    opened = open_database(database)
    view = view_of(opened, tag, as_of, global_tag)
    chosen = detector or only_detector(opened, view)
    show_history(f"{name} of {chosen}", history_of(name, opened.timeline(chosen, view)), csv)


@app.command()
def freeze(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The global tag, for example 2026-summer.")],
    tag: Tag = DEFAULT_TAG,
    as_of: AsOf = None,
    author: Author = None,
    comment: Comment = "",
    database: DatabaseAddress = DEFAULT_DATABASE,
) -> None:
    """Give a tag as it stands now, or stood at a time, a name for good: a global tag to look up in.

    Example: bayescal constants freeze 2026-summer --tag reviewed
    """
    from bayescal.conditions import Origin, open_database, this_author, write_time

    opened = open_database(database)
    view = view_of(opened, tag, as_of)
    opened.freeze(name, view, Origin(this_author() if author is None else author, comment))
    typer.echo(f"{name} is the tag {view.tag} as of {write_time(view.as_of)}")


def view_of(database: ConstantsDatabase, tag: str, as_of: str | None = None, global_tag: str | None = None) -> View:
    """The view that the options ask for."""
    from bayescal.conditions import parse_time
    from bayescal.errors import InputError

    if global_tag is None:
        return database.view(tag, None if as_of is None else parse_time(as_of, "--as-of"))
    if as_of is not None or tag != DEFAULT_TAG:
        raise InputError("--global-tag stands for a tag as of a time; leave out --tag and --as-of")
    return database.frozen_view(global_tag)


def only_detector(database: ConstantsDatabase, view: View) -> str:
    """The detector of a view that has only one."""
    from bayescal.errors import InputError

    known = database.detectors(view)
    if not known:
        raise InputError(f"{database.name}: nothing with the tag {view.tag} had been added; see its `list`")
    if len(known) > 1:
        raise InputError(f"{database.name}: say which --detector; with the tag {view.tag} there are {', '.join(known)}")
    return known[0]
