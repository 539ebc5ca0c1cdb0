"""XLA flags for programs that compile in a quarter of the time and run slower."""

from importlib.metadata import version

FLAGS = "--xla_backend_optimization_level=0"
if version("jaxlib") < "0.11":  # later ones have no such flag
    FLAGS += " --xla_cpu_use_fusion_emitters=false"
