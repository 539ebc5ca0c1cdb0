"""Times one case of SwinIR under PyTorch, in a process of its own.

    python benchmarks/time_pytorch.py NETWORK SIDE [--compile] [--train BATCH [--adversarial]] [--file]

Needs an environment with torch and spandrel, which has the SwinIR that PyTorch's upscaling tools share. Prints the same
JSON line as time_jax.py.
"""

import time

START = time.perf_counter()

import argparse
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from networks import NETWORKS, PHOTO, report
from PIL import Image
from pytorch_adversary import adversarial_step

warnings.filterwarnings("ignore")


def import_swinir() -> Any:
    """Returns spandrel's class SwinIR."""
    try:
        import torchvision  # noqa: F401
    except RuntimeError:  # a CPU build of PyTorch lacks torchvision's operators
        for name in ("nms", "qnms"):
            torch.library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    from spandrel.architectures.SwinIR import SwinIR

    return SwinIR


def main() -> None:
    """Times one case."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("network", choices=NETWORKS)
    parser.add_argument("side", type=int)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--train", type=int, default=0, metavar="BATCH")
    parser.add_argument("--adversarial", action="store_true")
    parser.add_argument("--file", action="store_true")
    args = parser.parse_args()
    model = import_swinir()(**NETWORKS[args.network])
    run = torch.compile(model) if args.compile else model
    scale, batch = NETWORKS[args.network]["upscale"], max(args.train, 1)
    lq = torch.rand(batch, 3, args.side, args.side)
    if args.file:
        model.eval()
        folder = tempfile.TemporaryDirectory()

        def call() -> None:
            image = np.asarray(Image.open(PHOTO).convert("RGB"), np.float32) / 255
            with torch.no_grad():
                restored = run(torch.from_numpy(image).permute(2, 0, 1)[None])[0].clamp(0, 1).permute(1, 2, 0)
            Image.fromarray((restored * 255).round().byte().numpy()).save(Path(folder.name) / "restored.png")
    elif args.train:
        hq = torch.rand(batch, 3, args.side * scale, args.side * scale)
        optimizer = torch.optim.Adam(model.train().parameters(), lr=2e-4)

        def pixel_step() -> None:
            optimizer.zero_grad()
            (run(lq) - hq).abs().mean().backward()
            optimizer.step()

        call = adversarial_step(run, lq, hq) if args.adversarial else pixel_step
    else:
        model.eval()

        def call() -> None:
            with torch.no_grad():
                run(lq)

    report(call, START)


if __name__ == "__main__":
    main()
