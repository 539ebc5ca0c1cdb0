"""Measures one case of spandrel's SwinIR under PyTorch on CUDA or the CPU, in a process of its own, for accelerator.py.

    python benchmarks/accelerator_pytorch.py NETWORK ROWS COLUMNS float32|high|bfloat16 [--train BATCH] [--compile]

Prints JSON lines as accelerator_jax.py. `high` is TF32, `bfloat16` autocast; with `--compile`, the first call compiles.
"""

import argparse
import json

import torch
from networks import ACCELERATOR_REPEATS, NETWORKS, timings
from time_pytorch import import_swinir
from torch.utils.flop_counter import FlopCounterMode


def main() -> None:
    """Measures one case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", choices=NETWORKS)
    parser.add_argument("rows", type=int)
    parser.add_argument("columns", type=int)
    parser.add_argument("arithmetic", choices=("float32", "high", "bfloat16"))
    parser.add_argument("--train", type=int, default=0, metavar="BATCH", help="images of ROWS x COLUMNS pixels")
    parser.add_argument("--compile", action="store_true")
    args = parser.parse_args()
    cuda = torch.cuda.is_available()
    device = torch.device("cuda" if cuda else "cpu")
    torch.set_float32_matmul_precision("high" if args.arithmetic == "high" else "highest")
    torch.backends.cudnn.allow_tf32 = args.arithmetic == "high"

    # With the size of the images, masks of shifted windows are made once, not for each image.
    network = NETWORKS[args.network] | {"img_size": (args.rows, args.columns)}
    model = import_swinir()(**network).to(device).train(bool(args.train))
    run = torch.compile(model) if args.compile else model
    scale, batch = network["upscale"], max(args.train, 1)
    lq = torch.rand(batch, 3, args.rows, args.columns, device=device)
    hq = torch.rand(batch, 3, args.rows * scale, args.columns * scale, device=device)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-4)

    def step(network: torch.nn.Module) -> torch.Tensor:
        """Restores the image, or takes a training step; returns the image or the loss."""
        with torch.autocast(device.type, torch.bfloat16, enabled=args.arithmetic == "bfloat16"):
            if not args.train:
                with torch.no_grad():
                    return network(lq)
            loss = (network(lq) - hq).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    def call() -> None:
        step(run)
        if cuda:
            torch.cuda.synchronize()

    result = {"device": torch.cuda.get_device_name() if cuda else "cpu", "torch": torch.__version__}
    result |= timings(call, ACCELERATOR_REPEATS)
    if cuda:
        result["peak_bytes"] = torch.cuda.max_memory_allocated()
    result["finite"] = bool(torch.isfinite(step(run)).all())
    print(json.dumps(result), flush=True)
    with FlopCounterMode(display=False) as counter:
        step(model)
    print(json.dumps(result | {"flops": counter.get_total_flops()}))


if __name__ == "__main__":
    main()
