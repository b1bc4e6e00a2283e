from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import poisson

from bayescal.errors import InputError
from bayescal.light import training
from bayescal.light.box import Box
from bayescal.light.library import PhotonLibrary, voxel_centres_cm
from bayescal.light.siren import Architecture, PseudoLog, SinePseudoLog, Siren, initialise, log_link
from bayescal.light.training import PoissonLoss, Recipe, WeightedSquares, train

BOX = Box(np.array([-2.0, 0.0, -4.0]), np.array([2.0, 6.0, 4.0]))
CENTRES = voxel_centres_cm(BOX, (4, 6, 8))
SENSORS_CM = np.array([[0.0, 3.0, -5.0], [1.0, 2.0, 5.0]])
PHOTONS = 1e6
KEY = jax.random.key(5)
RECIPE = Recipe(PoissonLoss(PHOTONS), steps=30, batch=16, block=10)


def light(points_cm: np.ndarray) -> np.ndarray:
    """Visibility of two sensors that falls with the square of the distance."""
    return 1e-2 / ((points_cm[..., None, :] - SENSORS_CM) ** 2).sum(axis=-1)


def truth() -> np.ndarray:
    return light(CENTRES)


def library(visibility: np.ndarray) -> PhotonLibrary:
    return PhotonLibrary(BOX, visibility.astype(np.float32))


def network(head=None) -> Siren:
    head = head or log_link(truth().mean(axis=(0, 1, 2)))
    return initialise(jax.random.key(1), Architecture(2, 16, 1, first_w0=10.0), head, BOX)


def same(one, other) -> None:
    for left, right in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(left, right)


def test_poisson_loss_is_the_deviance() -> None:
    """Twice the log-likelihood that the prediction lacks to the best one; zeros included."""
    counts, expected = np.array([[0.0, 3.0], [120.0, 7.0]]), np.array([[0.4, 5.0], [100.0, 7.0]])
    head = log_link([1e-5, 1e-5])
    output = (np.log(expected / PHOTONS) - np.asarray(head.offset, float)) / 5
    found = PoissonLoss(PHOTONS)(head, jnp.asarray(output), jnp.asarray(counts / PHOTONS))
    lacking = poisson.logpmf(counts, np.maximum(counts, 1e-300)) - poisson.logpmf(counts, expected)
    np.testing.assert_allclose(found, 2 * lacking.mean(axis=1), rtol=1e-9)


def test_weighted_squares_by_hand() -> None:
    """Weight 1e6 v, and one for a voxel that saw nothing."""
    head = PseudoLog(jnp.ones(2), vmax=1.0, eps=1e-7)
    target = np.log10(np.array([1e-4, 0.0]) + 1e-7) / np.log10(1e7 + 1) + 7 / np.log10(1e7 + 1)
    found = WeightedSquares()(head, jnp.array([[0.5, 0.1]]), jnp.array([[1e-4, 0.0]]))
    np.testing.assert_allclose(found, [(100 * (0.5 - target[0]) ** 2 + 0.1**2) / 2], rtol=1e-6)


@pytest.mark.parametrize("emphasis", [0.0, 0.5])
def test_weights_undo_the_emphasis(emphasis) -> None:
    """The mean of a loss over voxels as they are drawn is that over all voxels."""
    visibility = truth()
    visibility[0] = 0.0
    data = training._prepare(library(visibility), Recipe(emphasis=emphasis))
    chance = np.diff(np.asarray(data.cumulative), prepend=0.0)
    assert data.cumulative[-1] == pytest.approx(1.0)
    assert (chance > 0).all()
    np.testing.assert_allclose((chance * data.weight)[chance > 1e-9], 1 / len(chance), rtol=1e-4)


def test_efficiency_is_part_of_what_is_learned() -> None:
    data = training._prepare(PhotonLibrary(BOX, truth(), np.array([1.0, 0.5])), Recipe())
    np.testing.assert_allclose(data.visibility, (truth() * [1.0, 0.5]).reshape(-1, 2), rtol=1e-6)


def test_network_learns_a_noisy_library() -> None:
    """Deviance near one, and nearer to the truth than 3,072 counts of 10 to 100, which 370 weights cannot follow."""
    centres = voxel_centres_cm(BOX, (8, 12, 16))
    exact = light(centres)
    counts = np.random.default_rng(2).poisson(1e5 * exact)
    start = initialise(jax.random.key(1), Architecture(2, 16, 1, first_w0=3.0, hidden_w0=10.0), network().head, BOX)
    recipe = Recipe(PoissonLoss(1e5), steps=600, batch=256, learning_rate=1e-2, emphasis=0.3, block=200)
    seen = []
    trained = train(KEY, start, library(counts / 1e5), recipe, watch=lambda step, loss: seen.append((step, loss)))
    assert [step for step, _ in seen] == [200, 400, 600]
    assert seen[-1][1] == pytest.approx(trained.curve[400:].mean())
    assert trained.curve.shape == (600,)
    assert trained.curve[-100:].mean() < 1.2
    away = np.abs(np.asarray(trained.siren(centres)) / exact - 1).mean()
    assert away < 0.5 * np.abs(counts / 1e5 / exact - 1).mean()


def test_rate_and_long_gradients() -> None:
    """Steps rise to the rate in a tenth of them and fall again; a gradient is as good as any longer one."""
    recipe = Recipe(steps=100, learning_rate=0.5, warm_up=0.1, largest_gradient=2.0)
    optimiser, place = recipe.optimiser(), jnp.zeros(2)
    state, sizes = optimiser.init(place), []
    for _ in range(100):
        step, state = optimiser.update(jnp.array([3.0, 4.0]), state)
        sizes.append(abs(float(step[0])))
    np.testing.assert_allclose(sizes[:11], 0.05 * np.arange(11), rtol=1e-5, atol=1e-8)
    assert sizes[-1] < 1e-3
    ordinary, unusual = (
        optimiser.update(jnp.array([0.0, 1.0]), optimiser.update(jnp.array([long, 0.0]), optimiser.init(place))[1])[0]
        for long in (2.0, 2e6)
    )
    np.testing.assert_allclose(unusual, ordinary, rtol=1e-6)


def test_published_recipe_goes_downhill() -> None:
    recipe = Recipe(WeightedSquares(), steps=60, batch=64, learning_rate=1e-3, block=60)
    curve = train(KEY, network(SinePseudoLog(jnp.ones(2, jnp.float32))), library(truth()), recipe).curve
    assert curve[-10:].mean() < 0.5 * curve[:10].mean()


def test_training_goes_on_to_the_same_bits(tmp_path) -> None:
    """Stopped after the second of four blocks, the last of which is not full; without and with checkpoint."""
    recipe = Recipe(PoissonLoss(PHOTONS), steps=35, batch=16, block=10)
    whole = train(KEY, network(), library(truth()), recipe)

    def stop(step: int, loss: float) -> None:
        del loss
        if step == 20:
            raise KeyboardInterrupt

    path = tmp_path / "training.h5"
    with pytest.raises(KeyboardInterrupt):
        train(KEY, network(), library(truth()), recipe, path, stop)
    seen = []
    resumed = train(KEY, network(), library(truth()), recipe, path, lambda step, loss: seen.append(step))
    assert seen == [30, 35]
    same(resumed, whole)
    same(train(KEY, network(), library(truth()), recipe, path), whole)
    assert [file.name for file in tmp_path.iterdir()] == ["training.h5"]


def test_killed_while_it_saves(tmp_path, monkeypatch) -> None:
    """The older checkpoint stays as it was, bit for bit."""
    path = tmp_path / "training.h5"
    training._save(path, (), np.zeros(3), {"key": "a"})
    before = path.read_bytes()

    def kill(*arguments) -> None:
        raise SystemExit

    monkeypatch.setattr("os.replace", kill)
    with pytest.raises(SystemExit):
        training._save(path, (), np.ones(4), {"key": "a"})
    assert path.read_bytes() == before


def test_checkpoint_of_another_training(tmp_path) -> None:
    path = tmp_path / "training.h5"
    train(KEY, network(), library(truth()), RECIPE, path)
    with pytest.raises(InputError, match=r"training\.h5: holds a training of another library; undo that or name"):
        train(KEY, network(), library(2 * truth()), RECIPE, path)
    other = Recipe(PoissonLoss(PHOTONS), steps=40, batch=16, block=10)
    with pytest.raises(InputError, match="of another key and recipe"):
        train(jax.random.key(6), network(), library(truth()), other, path)


def test_one_program_serves_all_blocks_and_resumed_runs() -> None:
    train(KEY, network(), library(truth()), RECIPE)
    before = training._advance._cache_size()
    train(jax.random.key(9), network(), library(2 * truth()), RECIPE)
    assert training._advance._cache_size() == before
