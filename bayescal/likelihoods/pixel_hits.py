"""Inputs and data of models with pixel hits: hits as one row a pixel in reach, and what a model needs beside."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jaxtyping import Array, Bool, Float, Int
from numpy.typing import NDArray

from bayescal.charge.coverage import Coverage, Margins, Resolution, cover
from bayescal.charge.detector import ChargeConstants, ChargeDetector, simulate
from bayescal.charge.signals import PixelSignals
from bayescal.errors import InputError
from bayescal.likelihoods.intervals import IntegerADC, RealADC
from bayescal.likelihoods.plan import HitPlan, Tolerance, common_shapes, plan_hits
from bayescal.readers.hits import Hits, from_rows
from bayescal.segments import Segments

Prior = dist.Distribution | float
_REAL, _RESOLUTION, _TOLERANCE = RealADC(), Resolution(), Tolerance()


class ChargeInputs(eqx.Module):
    """What a model of pixel hits is given beside the hits.

    Attributes:
        detector: what is known of the detector.
        coverage: steps and the pixels in their reach; one row a pixel.
        event_id: numbers of the events; length_cm: total track length [cm].
        live: rows that record hits.
        priors: priors and fixed values by name.
        adc: kind of ADC values.
        noise: factor on all noise of the chip, 1 but while a fit comes from far.
        smear_us: width added to all pulses [us], 0 but while a fit comes from far.
        plan: the likelihood's plan for the observed hits; None before there are any.
    """

    detector: ChargeDetector
    coverage: Coverage
    event_id: Int[NDArray, " event"]
    length_cm: Float[NDArray, ""]
    live: Bool[NDArray, " row"]
    priors: dict[str, Prior]
    adc: RealADC | IntegerADC
    noise: float | Array = 1.0
    smear_us: float | Array = 0.0
    plan: HitPlan | None = None

    @property
    def n_events(self) -> int:
        """Number of events."""
        return self.event_id.shape[0]

    def tempered(self, noise: float, smear_us: float) -> ChargeInputs:
        """The same inputs with more noise and slower pulses."""
        return eqx.tree_at(lambda inputs: (inputs.noise, inputs.smear_us), self, (noise, smear_us))


def charge_inputs(
    segments: Segments,
    detector: ChargeDetector,
    priors: Mapping[str, Prior],
    adc: RealADC | IntegerADC = _REAL,
    resolution: Resolution = _RESOLUTION,
) -> ChargeInputs:
    """Inputs of a model of pixel hits, with pixels enough for the range of the priors.

    Args:
        segments: ionisation steps.
        detector: what is known of the detector.
        priors: priors and fixed values by name.
        adc: kind of ADC values.
        resolution: fineness of the simulation.

    Raises:
        InputError: where no charge reaches a pixel.
    """
    shift = max(_largest(priors.get(name, 0.0)) for name in ("shift_x", "shift_y"))
    margins = Margins()
    margins = margins._replace(shift_cm=shift, tran_diff=max(margins.tran_diff, _largest(priors.get("tran_diff", 0.0))))
    coverage = cover(segments, detector.geometry, margins, resolution)
    if not (coverage.pixel >= 0).any():
        raise InputError(
            f"no charge of the {segments.n_segments} segments reaches a pixel of {detector.name}: check units and axes "
            "(z is the drift axis after reading, lengths in cm) and the detector"
        )
    return ChargeInputs(
        detector=detector,
        coverage=coverage,
        event_id=np.asarray(segments.event_id),
        length_cm=np.asarray(segments.total_length_cm),
        live=(coverage.pixel >= 0) & ~np.isin(coverage.pixel, detector.dead_pixels),
        priors=dict(priors),
        adc=adc,
    )


def _largest(prior: Prior) -> float:
    """Largest size that a prior gives with some probability, from a thousand draws, or the size of a fixed value."""
    if isinstance(prior, dist.Distribution):
        return float(jnp.abs(prior.sample(jax.random.key(0), (1000,))).max())
    return float(np.max(np.abs(prior)))


def arrange(hits: Hits, inputs: ChargeInputs, path: str) -> Float[NDArray, "row slot 2"]:
    """Hits as firing tick and ADC of each pixel row, NaN in empty slots.

    Hits on pixels that no charge can reach are not part of the model's data; their number is given in a warning.

    Raises:
        InputError: hits of an event without segments, of another kind of ADC values, or more of a pixel than its chip
            can record.
    """
    _check_events(hits, inputs, path)
    coverage, n_slots = inputs.coverage, inputs.detector.electronics.max_hits
    n_pixels = inputs.detector.geometry.n_pixels
    real = np.flatnonzero(coverage.pixel >= 0)
    key = coverage.event[real] * n_pixels + coverage.pixel[real]
    wanted = np.searchsorted(np.sort(inputs.event_id), hits.event_id)
    wanted = np.argsort(inputs.event_id)[wanted] * n_pixels + hits.pixel
    place = np.minimum(np.searchsorted(key, wanted), key.size - 1)
    known = key[place] == wanted
    if not known.all():
        warnings.warn(
            f"{path}: {(~known).sum()} of {known.size} hits lie on pixels that no charge can reach; they are left out",
            stacklevel=2,
        )
    row = real[place[known]]
    start = np.searchsorted(row, row)
    slot = np.arange(row.size) - start
    if slot.size and slot.max() >= n_slots:
        raise InputError(
            f"{path}: pixel {coverage.pixel[row[slot.argmax()]]} has {slot.max() + 1} hits, more than the {n_slots} "
            "that its chip records; raise max_hits in the detector's electronics"
        )
    value = np.full((coverage.n_rows, n_slots, 2), np.nan)
    value[row, slot] = np.stack([hits.tick[known], hits.adc[known]], axis=1)
    return value


def _check_events(hits: Hits, inputs: ChargeInputs, path: str) -> None:
    if hits.integer_adc != isinstance(inputs.adc, IntegerADC):
        kind = "integer" if hits.integer_adc else "real"
        raise InputError(f'{path}: the ADC values are {kind}; set adc = "{kind}" in the study\'s [inputs]')
    unknown = ~np.isin(hits.event_id, inputs.event_id)
    if unknown.any():
        raise InputError(
            f"{path}: event {hits.event_id[unknown][0]} has hits but no segments; read both from the same events"
        )


def as_hits(value: Float[NDArray, "row slot 2"], inputs: ChargeInputs) -> Hits:
    """The inverse of `arrange`."""
    row, slot = np.nonzero(np.isfinite(value[..., 0]))
    return from_rows(
        inputs.event_id[inputs.coverage.event[row]],
        inputs.coverage.pixel[row],
        value[row, slot, 0].astype(int),
        value[row, slot, 1],
        integer_adc=isinstance(inputs.adc, IntegerADC),
    )


def with_plan(
    inputs: ChargeInputs,
    value: Float[NDArray, "row slot 2"],
    reference: ChargeConstants,
    tolerance: Tolerance = _TOLERANCE,
) -> ChargeInputs:
    """The inputs with the plan for observed hits, made at a reference set of constants."""
    chip = inputs.detector.electronics
    signals: PixelSignals = jax.jit(simulate)(reference, inputs.coverage, inputs.detector)
    signal = np.asarray(signals.waveform(chip.first_tick - 1, chip.n_ticks + 1, chip.tick_us))
    coverage = eqx.tree_at(lambda c: c.pixel, inputs.coverage, np.where(inputs.live, inputs.coverage.pixel, -1))
    plan = plan_hits(np.asarray(value)[..., 0], signal, coverage, chip, tolerance)
    return eqx.tree_at(lambda i: i.plan, inputs, plan, is_leaf=lambda leaf: leaf is None)


def with_common_plans(inputs: Sequence[ChargeInputs]) -> list[ChargeInputs]:
    """Inputs of several data sets of one coverage, their plans padded to the same shapes: all share one program."""
    plans = common_shapes([_plan(one) for one in inputs], inputs[0].coverage)
    return [eqx.tree_at(lambda i: i.plan, one, plan) for one, plan in zip(inputs, plans, strict=True)]


def _plan(inputs: ChargeInputs) -> HitPlan:
    if inputs.plan is None:
        raise ValueError("plans can be padded to common shapes once there are any: use with_plan first")
    return inputs.plan
