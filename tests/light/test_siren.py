from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayescal.light import siren as siren_module
from bayescal.light.box import Box
from bayescal.light.siren import (
    Architecture,
    Layer,
    LogLink,
    PseudoLog,
    SinePseudoLog,
    Siren,
    initialise,
    log_link,
)
from bayescal.testing import check_gradient

LOWER_CM, UPPER_CM = np.array([-15.0, -60.0, 0.0]), np.array([15.0, 60.0, 30.0])
BOX = Box(LOWER_CM, UPPER_CM)
SENSORS = 3
ONES = jnp.ones(SENSORS, jnp.float32)
HEADS = (log_link([1e-4, 1e-5, 1e-3]), PseudoLog(ONES), SinePseudoLog(ONES))


def network(head=HEADS[0], dtype=np.float32, **sizes) -> Siren:
    """A small network, with weights of a precision."""
    architecture = Architecture(SENSORS, **({"hidden_features": 8, "hidden_layers": 2} | sizes))
    made = initialise(jax.random.key(3), architecture, head, BOX)
    layers, head = jax.tree.map(lambda leaf: leaf.astype(dtype), (made.layers, made.head))
    return Siren(layers, head, BOX, architecture)


def positions(n: int) -> np.ndarray:
    return np.random.default_rng(1).uniform(LOWER_CM, UPPER_CM, (n, 3))


@pytest.mark.parametrize(
    ("sizes", "count"),
    [((180, 512, 5), 1_407_668), ((48, 256, 3), 210_736), ((48, 128, 1), 23_216), ((48, 128, 0), 6_704)],
)
def test_published_sizes(sizes, count) -> None:
    """ICARUS, the 2x2's TPC, and the two sizes for Module-0."""
    assert Architecture(*sizes).n_parameters == count


def test_count_is_that_of_the_layers() -> None:
    made = network()
    assert sum(leaf.size for leaf in jax.tree.leaves(made.layers)) == made.architecture.n_parameters


def test_initial_weights_fill_the_published_ranges() -> None:
    """The largest of n uniform numbers is below the bound, and by less than 5 % with a chance of 1 - 0.95^n."""
    made = network(hidden_features=64)
    bounds = [(1 / 3, 1 / np.sqrt(3))] + [(np.sqrt(6 / 64) / 30, 1 / np.sqrt(64))] * 3
    for layer, (weight, bias) in zip(made.layers, bounds, strict=True):
        assert 0.95 * weight < abs(np.asarray(layer.weight)).max() <= weight
        assert abs(np.asarray(layer.bias)).max() <= bias
        if layer.bias.size > 10:
            assert abs(np.asarray(layer.bias)).max() > 0.9 * bias
        assert layer.weight.dtype == np.float32


def test_one_neuron_by_hand() -> None:
    """sin(30 (w u + b)) twice and a linear layer, for a point at u = (0.5, 0, -0.5)."""
    layers = (
        Layer(jnp.array([[0.1, 0.2, 0.3]]), jnp.array([0.05])),
        Layer(jnp.array([[0.7]]), jnp.array([-0.1])),
        Layer(jnp.array([[0.4]]), jnp.array([0.2])),
    )
    box = Box(np.array([0.0, 0.0, -1.0]), np.array([4.0, 2.0, 3.0]))
    made = Siren(layers, LogLink(jnp.array([-9.0])), box, Architecture(1, 1, 1))
    first = np.sin(30 * (0.1 * 0.5 - 0.3 * 0.5 + 0.05))
    second = np.sin(30 * (0.7 * first - 0.1))
    point = jnp.array([3.0, 1.0, 0.0])
    np.testing.assert_allclose(made.features(point), [second], rtol=1e-12)
    np.testing.assert_allclose(made.output(point), [0.4 * second + 0.2], rtol=1e-12)
    np.testing.assert_allclose(made(point), [np.exp(-9 + 5 * (0.4 * second + 0.2))], rtol=1e-12)


def test_features_and_last_layer_make_the_visibility() -> None:
    made, points = network(), positions(5)
    output = made.layers[-1](made.features(points))
    np.testing.assert_allclose(made(points), made.head(output), rtol=1e-5)


def test_pseudo_logarithm() -> None:
    """v = 0 is 0 and v = vmax is 1, linear head; -1 and 1, sine head; the inverse gives back what went in."""
    visibility = jnp.array([[0.0, 1e-7, 1.0], [1e-4, 1e-2, 0.5]])
    linear, sine = PseudoLog(ONES), SinePseudoLog(ONES)
    np.testing.assert_allclose(linear.transformed(visibility)[0], [0, np.log10(2) / np.log10(1e7 + 1), 1], atol=1e-12)
    np.testing.assert_allclose(sine.transformed(visibility)[0, [0, 2]], [-1, 1], atol=1e-12)
    np.testing.assert_allclose(linear(linear.transformed(visibility)), visibility, rtol=1e-9, atol=1e-15)
    asked = jnp.arcsin(sine.transformed(visibility)) / sine.w0
    np.testing.assert_allclose(sine(asked), visibility, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("head", HEADS, ids=lambda head: type(head).__name__)
def test_visibility_is_a_probability_with_finite_slopes(head) -> None:
    """Also where a linear layer gets far out of range."""
    output = jnp.array([[-1e30, -0.3, 0.0], [0.4, 7.0, 1e30]], jnp.float32)
    assert ((head(output) >= 0) & (head(output) <= 1)).all()
    assert np.isfinite(jax.grad(lambda y: head(y).sum())(output)).all()


def test_scale_multiplies_the_transformed_output() -> None:
    output = jnp.array([[0.1, 0.2, 0.3]])
    scale = jnp.array([1.0, 2.0, 0.5])
    np.testing.assert_allclose(PseudoLog(scale)(output), PseudoLog(jnp.ones(3))(output * scale))
    np.testing.assert_allclose(SinePseudoLog(scale).activated(output), np.sin(30 * output) * scale, rtol=1e-12)


def test_sensor_without_light_has_a_finite_offset() -> None:
    np.testing.assert_allclose(log_link([0.0, 1e-3]).offset, np.log([1e-12, 1e-3]), rtol=1e-6)


@pytest.mark.parametrize("head", HEADS, ids=lambda head: type(head).__name__)
def test_faces_and_outside_see_nothing(head) -> None:
    """With gradients of zero there, and none that is not finite."""
    made = network(head)
    middle = np.array([0.0, 0.0, 15.0])
    faces = np.stack([np.where(np.arange(3) == axis, end, middle) for end in (LOWER_CM, UPPER_CM) for axis in range(3)])
    outside = np.array([[1e9, 0.0, 10.0], [0.0, 60.1, 10.0], [-np.inf, 0.0, 10.0]])
    points = jnp.asarray(np.concatenate([faces, outside]))
    assert not BOX.contains(points).any()
    np.testing.assert_array_equal(made(points), 0.0)
    np.testing.assert_array_equal(jax.grad(lambda r: made(r).sum())(points[:-1]), 0.0)
    within = jnp.asarray(middle + (faces - middle) * (1 - 1e-9))
    assert BOX.contains(within).all()
    assert np.isfinite(jax.grad(lambda r: made(r).sum())(within)).all()


def test_any_shape_of_positions() -> None:
    made, points = network(), positions(6)
    np.testing.assert_allclose(made(points.reshape(2, 3, 3)).reshape(6, -1), made(points), rtol=1e-4)
    np.testing.assert_allclose(made(points[0]), made(points)[0], rtol=1e-4)
    assert made(np.zeros((0, 3))).shape == (0, SENSORS)


def test_chunks_change_nothing(monkeypatch) -> None:
    """Values and gradients, with a last chunk that is not full."""
    made, points = network(dtype=np.float64), jnp.asarray(positions(11))
    value_and_grad = jax.value_and_grad(lambda layers: (1e3 * replace_layers(made, layers)(points)).sum())
    value, gradient = value_and_grad(made.layers)
    monkeypatch.setattr(siren_module, "VALUES_AT_ONCE", 4 * 27)
    chunked = made(points)
    value_in_chunks, gradient_in_chunks = value_and_grad(made.layers)
    assert chunked.shape == (11, SENSORS)
    np.testing.assert_allclose(value_in_chunks, value, rtol=1e-10)
    for one, other in zip(jax.tree.leaves(gradient_in_chunks), jax.tree.leaves(gradient), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12 * abs(np.asarray(other)).max())


def replace_layers(made: Siren, layers) -> Siren:
    return Siren(layers, made.head, BOX, made.architecture)


@pytest.mark.parametrize("head", HEADS, ids=lambda head: type(head).__name__)
def test_gradient_by_position(head) -> None:
    made = network(head, np.float64)
    in_range = Layer(made.layers[-1].weight, jnp.full(SENSORS, 0.4))
    made = replace_layers(made, (*made.layers[:-1], in_range))
    scale = 1 / made(jnp.array([3.0, -20.0, 11.0]))
    check_gradient(lambda r: (made(r) * scale * jnp.array([1.0, -2.0, 0.5])).sum(), np.array([3.0, -20.0, 11.0]), 1e-6)


def test_gradient_by_weights() -> None:
    made, points = network(HEADS[0], np.float64), jnp.asarray(positions(4))
    weight = made.layers[1].weight

    def light(row) -> jax.Array:
        layers = (made.layers[0], Layer(weight.at[2].set(row), made.layers[1].bias), *made.layers[2:])
        return 1e4 * replace_layers(made, layers)(points).sum()

    check_gradient(light, np.asarray(weight[2]), rtol=1e-6)


def test_single_precision_follows_double() -> None:
    """Rounding of the phases, 30 times some units of 6e-8 each, moves a visibility by less than 1e-4 of itself."""
    single, double = network(), network(dtype=np.float64)
    assert single(positions(50)).dtype == np.float32
    np.testing.assert_allclose(single(positions(50)), double(positions(50)), rtol=1e-4)


def test_wrong_shapes() -> None:
    made = network()
    with pytest.raises(ValueError, match="layers must have the shapes"):
        Siren(made.layers[1:], made.head, BOX, made.architecture)
