"""Commands on a study before the fit: models, init, check, simulate."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

StudyFile = Annotated[Path, typer.Argument(metavar="STUDY", help="Study file (TOML), as `bayescal init` writes it.")]
Device = Annotated[
    str | None, typer.Option(metavar="auto|cpu|gpu", help="Instead of the study's; gpu never falls back to the CPU.")
]
Seed = Annotated[int | None, typer.Option(min=0, help="Instead of the study's.")]


def models() -> None:
    """List the shipped models and their parameters.

    A model file of your own works everywhere a name does: give its path.

    Example: bayescal models
    """
    from bayescal.cli.machine import use_cpu_if_idle

    use_cpu_if_idle()
    from bayescal.cli.display import show_table
    from bayescal.model_files import list_models, load_model

    rows = []
    for name in list_models():
        model = load_model(name)
        rows.append((name, model.summary, ", ".join(parameter.name for parameter in model.parameters)))
    show_table("Models", ("model", "what it calibrates", "parameters"), rows)


def init(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Name of a shipped model, or path of a model file.")],
    output: Annotated[Path | None, typer.Option(help="File to write; standard output by default.")] = None,
) -> None:
    """Write a commented study file for a model.

    All parameters are in it with unit, nominal value and default prior; edit it, then run `bayescal check`.

    Example: bayescal init charge_constants --output study.toml
    """
    from bayescal.cli.machine import require_writable, use_cpu_if_idle

    use_cpu_if_idle()
    from bayescal.diagnostics.files import write_text
    from bayescal.errors import InputError
    from bayescal.model_files import load_model
    from bayescal.study_template import write_template

    if output is not None and require_writable(output).exists():
        raise InputError(f"{output}: exists already; choose another name, so that no study is lost")
    loaded = load_model(model)
    values = {} if loaded.path.stem == model else {"model": str(loaded.path.resolve())}
    text = write_template(loaded, values)
    if output is None:
        sys.stdout.write(text)
    else:
        write_text(output, text)
        typer.echo(f"wrote {output}")


def check(study: StudyFile, device: Device = None) -> None:
    """Read everything that a study names and say what a fit will take, without fitting.

    Needs: the study's inputs, and its data if it names any. Writes: nothing. Prints the sizes, the memory of the
    compiled program, the seconds a gradient takes here, and the time to expect.

    Example: bayescal check study.toml
    """
    from bayescal.cli.machine import use_device_of

    name = use_device_of(study, device)
    from bayescal.cli.check import show_check
    from bayescal.study import build, override, read_study

    read = override(read_study(study), device=device)
    show_check(read, build(read), name)


def simulate(
    study: StudyFile,
    output: Annotated[Path, typer.Option(help="Data file to write (HDF5).")],
    seed: Seed = None,
    device: Device = None,
) -> None:
    """Draw data from a study's model and write them as the file that a fit reads.

    Needs: the study's inputs. The parameters have the values of its [truth] table, else the number they are fixed
    at, else their nominal values; the file keeps them.

    Example: bayescal simulate study.toml --output hits.h5 --seed 7
    """
    import jax

    from bayescal.cli.machine import require_writable, use_device_of

    use_device_of(study, device)
    from bayescal.cli.display import show_table
    from bayescal.simulation import simulate as draw_data
    from bayescal.study import override, read_study

    read = override(read_study(study), seed=seed, device=device)
    require_writable(output)
    simulated = draw_data(jax.random.key(read.seed), read)
    simulated.model.hook("write")(output, simulated.data, simulated.inputs, simulated.truth)
    if simulated.model.has("describe"):
        sizes = simulated.model.hook("describe")(simulated.inputs, simulated.data)
        show_table("Simulated", ("quantity", "value"), sizes.items())
    typer.echo(f"wrote {output}")
