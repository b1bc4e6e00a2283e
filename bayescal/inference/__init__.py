"""Any NumPyro model(inputs, data) to a posterior: mode, Laplace approximation, samplers. Knows nothing of detectors."""

from bayescal.inference.fit import fit as fit
from bayescal.inference.progress import Progress as Progress
from bayescal.inference.result import Result as Result
from bayescal.inference.result import load as load
from bayescal.inference.settings import FitSettings as FitSettings
