"""Any NumPyro model(inputs, data) to a posterior: mode, approximations, samplers. Knows nothing of detectors."""

from bayescal.inference.checkpoint import remove_checkpoint as remove_checkpoint
from bayescal.inference.fit import fit as fit
from bayescal.inference.progress import Progress as Progress
from bayescal.inference.result import Result as Result
from bayescal.inference.result import load as load
from bayescal.inference.settings import FitSettings as FitSettings
