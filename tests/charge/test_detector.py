from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayescal.charge import drift
from bayescal.charge.coverage import Margins, cover
from bayescal.charge.detector import ChargeConstants, ionisation_electrons, simulate
from bayescal.charge.induction import RESPONSE_ADVANCE_US, START_US
from bayescal.charge.recombination import Birks, EllipsoidalBox, ModifiedBox
from bayescal.charge.signals import request
from bayescal.segments import select_events
from bayescal.testing import check_gradient

run_simulation = jax.jit(simulate)

VELOCITY = 0.15964524822
CENTRE = (22.8351, -4.2123)
NAMES = ("Ab", "kb", "electric_field", "lifetime", "long_diff", "tran_diff", "electrons_per_mev", "density")
UNITS = np.array([0.8, 0.0486, 0.5, 2200.0, 4e-6, 8.8e-6, 4.237e4, 1.38])


def constants_of(x: jax.Array) -> ChargeConstants:
    """Constants in units of their nominal values, then shifts in 0.1 cm, then the events' times in us."""
    value = dict(zip(NAMES, jnp.asarray(UNITS) * x[:8], strict=True))
    recombination = Birks(value.pop("Ab"), value.pop("kb"))
    return ChargeConstants(recombination, **value, shift_cm=0.1 * x[8:11], event_time=x[11:])


@pytest.fixture(scope="module")
def collected(module0, tracks):
    """A smooth number that depends on everything: charge at a dozen times of each pixel, with weights."""
    segments = select_events(tracks, [0, 1])
    coverage = cover(segments, module0.geometry, Margins(shift_cm=0.05))
    n_pairs = coverage.pair_step.size
    everyone = request(np.arange(n_pairs), coverage.pair_row, n_pairs - 1, n_pairs)
    signals = jax.jit(simulate)(ChargeConstants(), coverage, module0)
    charge = np.asarray(signals.charge_e) + 1e-6
    late = np.bincount(coverage.pair_row, charge * np.asarray(signals.pulse.end_us), minlength=coverage.n_rows)
    origin = jnp.asarray(late / np.bincount(coverage.pair_row, charge, minlength=coverage.n_rows).clip(1e-6))
    time = jnp.tile(jnp.linspace(-4.0, 4.0, 12), (coverage.n_rows, 1))
    weight = 1e-5 * jnp.cos(jnp.arange(time.size)).reshape(time.shape)

    def number(x: jax.Array) -> jax.Array:
        return (weight * simulate(constants_of(x), coverage, module0).collected(everyone, origin, time)).sum()

    return number


def test_charge_of_a_deposit_by_hand(module0, deposits) -> None:
    """1 MeV at 10 cm from the cathode's side: dE M R exp(-t/tau), all on one pixel but for diffusion."""
    coverage = cover(deposits([*CENTRE, 10.0]), module0.geometry)
    constants = ChargeConstants()
    created = 4.237e4 * 0.69691690023
    assert ionisation_electrons(constants, coverage).sum() == pytest.approx(created, rel=1e-11)
    assert 2.1 * created == pytest.approx(62_009.575, abs=1e-3)
    total = run_simulation(constants, coverage, module0).total_e()
    assert total.sum() == pytest.approx(created * np.exp(-128.971893809 / 2200), rel=1e-5)
    row = int(jnp.argmax(total))
    assert coverage.pixel[row] == 18_321
    assert total[row] / total.sum() > 0.999


def test_time_of_a_deposit_by_hand(module0, deposits) -> None:
    """A point above a centre: its collection ends at t0 + t_d - 5.1 us + s, s being its value there."""
    coverage = cover(deposits([*CENTRE, 10.0]), module0.geometry)
    signals = run_simulation(ChargeConstants(tran_diff=1e-12, event_time=3.0), coverage, module0)
    best = int(jnp.argmax(signals.charge_e))
    end = 3.0 + 128.971893809 - RESPONSE_ADVANCE_US + START_US[0]
    assert signals.pulse.end_us[best] == pytest.approx(end, abs=1e-3)
    assert signals.pulse.drift_us[best] == pytest.approx(3.0 + 128.971893809, abs=1e-6)
    width = np.sqrt(2 * 4e-6 * 128.971893809) / VELOCITY
    assert signals.pulse.width_us[best] == pytest.approx(width, rel=1e-4)


def test_own_time_of_a_deposit_counts(module0, tracks) -> None:
    """t0 of the steps and the event's time add up."""
    late = dataclasses.replace(tracks, time_us=tracks.time_us + 1.7)
    first = run_simulation(ChargeConstants(event_time=1.7), cover(tracks, module0.geometry), module0)
    second = run_simulation(ChargeConstants(), cover(late, module0.geometry), module0)
    live = np.asarray(first.charge_e) > 0
    np.testing.assert_allclose(first.pulse.end_us[live], second.pulse.end_us[live], atol=1e-10)


def test_each_event_has_its_time(module0, tracks) -> None:
    coverage = cover(tracks, module0.geometry)
    still, moved = (
        run_simulation(ChargeConstants(event_time=time), coverage, module0).pulse.end_us
        for time in (0.0, jnp.asarray([1.0, -2.0, 0.5]))
    )
    event = coverage.event[coverage.pair_row]
    for number, time in enumerate((1.0, -2.0, 0.5)):
        np.testing.assert_allclose((moved - still)[event == number], time, atol=1e-11)


def test_shift_is_subtracted_from_positions(module0, deposits) -> None:
    """A shift does what moving the deposit does, along z too."""
    shift = np.array([0.03, -0.05, 0.2])
    place = np.array([22.9, -4.3, -12.0])
    found, expected = (
        run_simulation(constants, cover(deposits(start), module0.geometry, Margins(shift_cm=0.05)), module0)
        for constants, start in (
            (ChargeConstants(shift_cm=tuple(shift)), place),
            (ChargeConstants(), place - shift),
        )
    )
    assert found.charge_e.max() == pytest.approx(float(expected.charge_e.max()), rel=1e-9)
    best = [int(jnp.argmax(signals.charge_e)) for signals in (found, expected)]
    np.testing.assert_allclose(found.pulse.end_us[best[0]], expected.pulse.end_us[best[1]], atol=1e-9)


def test_higher_field_means_earlier_and_more(module0, deposits) -> None:
    """Arrival follows -d/v^2, the sign that a table aligned on the cathode gets wrong."""
    coverage = cover(deposits([*CENTRE, 10.0]), module0.geometry)

    def arrival(field: float) -> jax.Array:
        return run_simulation(ChargeConstants(electric_field=field), coverage, module0).pulse.drift_us[0]

    dv = jax.grad(lambda field: drift.drift_velocity(field, module0.temperature_k))(0.5)
    assert jax.jit(jax.grad(arrival))(0.5) == pytest.approx(float(-20.58975 / VELOCITY**2 * dv), rel=1e-6)
    weak, strong = (ChargeConstants(electric_field=field) for field in (0.45, 0.55))
    totals = [run_simulation(constants, coverage, module0).total_e().sum() for constants in (weak, strong)]
    assert totals[1] > totals[0]


def test_no_loss_in_the_limit_of_pure_argon(module0, tracks) -> None:
    coverage = cover(tracks, module0.geometry, Margins(charge_e=1.0))
    constants = ChargeConstants(lifetime=1e12)
    created = ionisation_electrons(constants, coverage).sum()
    assert run_simulation(constants, coverage, module0).total_e().sum() == pytest.approx(float(created), rel=2e-5)


@pytest.mark.parametrize("model", [Birks(), ModifiedBox(), EllipsoidalBox()])
def test_recombination_is_an_object(module0, deposits, model) -> None:
    """Any model in the same place; the ellipsoidal one sees the angle of the track."""
    track = deposits([5.0, 5.0, 5.0], [5.0, 5.3, 5.4])
    coverage = cover(track, module0.geometry)
    fraction = model(jnp.asarray(2.1), 0.5, 1.38, jnp.asarray(0.8))
    created = ionisation_electrons(ChargeConstants(recombination=model), coverage).sum()
    assert created == pytest.approx(4.237e4 * float(fraction), rel=1e-12)


def test_steps_along_the_drift_widen_the_pulse(module0, deposits) -> None:
    """A uniform step of h along z adds (h/v)^2/12 to the variance."""
    h = 0.05
    coverage = cover(deposits([*CENTRE, 10.0], [*CENTRE, 10.0 + h]), module0.geometry)
    signals = run_simulation(ChargeConstants(tran_diff=1e-12), coverage, module0)
    best = int(jnp.argmax(signals.charge_e))
    diffusion = 2 * 4e-6 * (30.58975 - 10.0 - h / 2) / VELOCITY / VELOCITY**2
    expected = np.sqrt(diffusion + (h / VELOCITY) ** 2 / 12)
    assert signals.pulse.width_us[best] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("point", range(2))
def test_gradient_by_every_constant(collected, point: int) -> None:
    """Against central differences in float64, at the nominal values and at a random point about them."""
    x = np.concatenate([np.ones(8), np.zeros(5)])
    if point:
        x += np.random.default_rng(point).uniform(-0.1, 0.1, x.size)
    check_gradient(collected, x, rtol=1e-5, step=1e-3)


def test_every_constant_matters(collected) -> None:
    slope = jax.jit(jax.grad(collected))(jnp.concatenate([jnp.ones(8), jnp.zeros(5)]))
    assert (np.abs(slope) > 1e-4).all()


@pytest.mark.parametrize("index", [0, 6])
def test_charge_is_proportional_to_normalisation_and_yield(collected, index: int) -> None:
    x = jnp.concatenate([jnp.ones(8), jnp.zeros(5)])
    run = jax.jit(collected)
    assert run(x.at[index].set(1.3)) == pytest.approx(1.3 * float(run(x)), rel=1e-12)


@pytest.mark.parametrize(
    ("index", "span"),
    [(1, 0.3), (2, 0.1), (3, 0.5), (4, 0.6), (5, 0.6), (8, 0.5), (9, 0.5), (10, 0.5), (11, 0.5)],
)
def test_scans_are_smooth(collected, index: int, span: float) -> None:
    """Halving the step of a scan cuts its largest second difference at least 3.5-fold; a kink would halve it only."""
    x = jnp.concatenate([jnp.ones(8), jnp.zeros(5)])
    scan = jax.jit(lambda values: jax.lax.map(lambda value: collected(x.at[index].add(value)), values))
    fine = np.asarray(scan(jnp.linspace(-span, span, 257)))
    coarse = fine[::2]
    largest = [np.abs(np.diff(values, 2)).max() for values in (coarse, fine)]
    assert largest[0] > 1e-9
    assert largest[0] / largest[1] > 3.5
