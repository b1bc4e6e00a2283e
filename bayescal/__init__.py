"""bayescal: posteriors of detector constants from differentiable simulators."""

import jax

jax.config.update("jax_enable_x64", True)

__version__ = "0.1.0"
