"""Measures how far the network is from the original PyTorch implementation, for the table of docs/parity.md.

    python benchmarks/parity.py

The original's answers, computed in float64, are in `tests/data/forward`.
"""

import argparse
import sys

import jax
import numpy as np
from tables import ROOT, markdown, replace_table

from swinir_jax import SwinIR, SwinIRConfig
from swinir_jax.checkpoints.names import params_from_official

sys.path.append(str(ROOT / "tests"))
from goldens import FORWARD, golden_case, relative_error


def network(config: SwinIRConfig) -> str:
    """Describes a network: `180 features, 6 RSTBs, pixelshuffle x4`."""
    upsampler = f", {config.upsampler} x{config.upscale}" if config.upsampler else ""
    channels = f", {config.in_chans} channel" if config.in_chans == 1 else ""
    return f"{config.embed_dim} features, {len(config.depths)} RSTBs{upsampler}{channels}"


def main() -> None:
    """Measures all cases and writes the table."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()  # refuses options
    rows = []
    for path in FORWARD:
        config, weights, lq, expected = golden_case(path)
        restored = jax.jit(SwinIR(config).apply)({"params": params_from_official(weights, config)}, lq)
        largest = np.abs(np.asarray(restored, np.float64) - expected).max()
        size = "x".join(map(str, lq.shape[1:3]))
        errors = f"{relative_error(restored, expected):.1e}", f"{largest:.1e}", f"{np.abs(expected).max():.1f}"
        rows.append((path.stem, network(config), size, *errors))
        print(*rows[-1], sep="  ", flush=True)
    head = ("case", "network", "input", "relative error", "largest difference", "largest value")
    caption = f"On {jax.devices()[0].device_kind}, jax {jax.__version__}, float32.\n\n"
    replace_table(ROOT / "docs" / "parity.md", "parity table", caption + markdown(head, rows))


if __name__ == "__main__":
    main()
