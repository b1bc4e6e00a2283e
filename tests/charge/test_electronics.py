from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayescal.charge.electronics import Electronics, larnd_sim_jax
from bayescal.likelihoods.chip import play
from bayescal.testing import check_gradient

NOISES = ("reset_noise_e", "discard_reset_noise_e", "uncorrelated_noise_e", "discriminator_noise_e", "watch_noise_e")


@pytest.mark.parametrize(
    ("charge_e", "adc"),
    [
        (0.0, 75.8234741784),
        (5_000.0, 80.9514866980),
        (20_000.0, 96.3355242567),
        (50_000.0, 127.1035993740),
        (1e6, 256.0),
        (-1e6, 0.0),
    ],
)
def test_adc_of_a_charge(charge_e: float, adc: float) -> None:
    assert Electronics().adc(jnp.asarray(charge_e)) == pytest.approx(adc, abs=1e-9)


def test_charge_of_an_adc_value() -> None:
    chip, charge = Electronics(), jnp.linspace(-50_000.0, 170_000.0, 23)
    np.testing.assert_allclose(chip.charge(chip.adc(charge)), charge, atol=1e-8)
    assert chip.charge_per_count_e == pytest.approx(975.03662109375, rel=1e-14)
    assert chip.charge(jnp.asarray(256.0)) == pytest.approx(175_679, abs=1)


def test_adc_gradient_and_its_end_at_saturation() -> None:
    chip = Electronics()
    check_gradient(lambda q: chip.adc(1e4 * q).sum(), np.array([-2.0, 0.5, 3.0, 10.0]), rtol=1e-8)
    assert jax.grad(chip.adc)(1e6) == 0.0


def test_ticks_follow_from_the_cycles() -> None:
    chip = Electronics()
    assert chip.restart_ticks == 20
    assert chip.end_tick == 2000
    assert larnd_sim_jax().end_tick == 2000


def test_noise_of_a_watched_tick_is_that_of_charge_and_threshold() -> None:
    chip = Electronics()
    assert chip.watch_noise_e == pytest.approx(np.hypot(chip.uncorrelated_noise_e, chip.discriminator_noise_e))


def test_noisier_scales_every_noise_and_nothing_else() -> None:
    chip, louder = Electronics(), Electronics().noisier(2.0)
    for name, value in vars(chip).items():
        assert getattr(louder, name) == (2 * value if name in NOISES else value)


def test_larnd_sim_jax_draws_at_the_hit_only() -> None:
    chip = larnd_sim_jax()
    assert [getattr(chip, name) for name in NOISES] == [900.0, 500.0, 500.0, 0.0, 0.0]
    assert (chip.first_tick, chip.n_ticks, chip.busy_ticks) == (0, 2000, 1)


def test_front_end_on_a_ramp_without_noise() -> None:
    """100 e- a tick: threshold after 50 ticks, 18 ticks of hold, one tick lost: a hit of 6800 e- every 69 ticks."""
    chip = larnd_sim_jax().noisier(0.0)
    tick = chip.first_tick - 1 + jnp.arange(chip.n_ticks + chip.restart_ticks + 1)
    hits = play(jax.random.key(0), 100.0 * (tick + 1.0)[None], jnp.full(1, 5000.0), jnp.zeros(()), chip)[0]
    recorded = hits[:, 0] - 1
    np.testing.assert_array_equal(recorded, 48 + 69 * np.arange(10))
    np.testing.assert_allclose(hits[:, 1], 82.797571, atol=1e-6)


def test_front_end_stays_silent_below_threshold() -> None:
    chip = larnd_sim_jax().noisier(0.0)
    signal = jnp.full((1, chip.n_ticks + chip.restart_ticks + 1), 4999.9).at[0, 0].set(0.0)
    assert jnp.isnan(play(jax.random.key(0), signal, jnp.full(1, 5000.0), jnp.zeros(()), chip)).all()
