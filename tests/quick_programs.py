"""XLA flags for programs that compile in about a tenth of the time and run slower."""

from importlib.metadata import version

# Programs are compiled in one part: compiling parts at a time takes more work, and tests keep all cores busy.
FLAGS = "--xla_backend_optimization_level=0 --xla_cpu_parallel_codegen_split_count=1"
if version("jaxlib") < "0.11":  # later ones have no such flag
    FLAGS += " --xla_cpu_use_fusion_emitters=false"
