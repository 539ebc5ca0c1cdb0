"""The networks that the benchmarks time, and the timing that both implementations share."""

import json
import resource
import statistics
import time
from collections.abc import Callable

from tables import ROOT

COMMON = dict(in_chans=3, img_size=64, window_size=8, img_range=1.0, mlp_ratio=2.0, resi_connection="1conv")
COMMON |= dict(drop_path_rate=0.0)  # the original drops paths in training only
NETWORKS = {
    "light": dict(COMMON, upscale=2, embed_dim=60, depths=[6] * 4, num_heads=[6] * 4, upsampler="pixelshuffledirect"),
    "light_x4": dict(
        COMMON, upscale=4, embed_dim=60, depths=[6] * 4, num_heads=[6] * 4, upsampler="pixelshuffledirect"
    ),
    "classical": dict(COMMON, upscale=4, embed_dim=180, depths=[6] * 6, num_heads=[6] * 6, upsampler="pixelshuffle"),
    "classical_x2": dict(COMMON, upscale=2, embed_dim=180, depths=[6] * 6, num_heads=[6] * 6, upsampler="pixelshuffle"),
    "real": dict(COMMON, upscale=4, embed_dim=180, depths=[6] * 6, num_heads=[6] * 6, upsampler="nearest+conv"),
    "tiny": dict(COMMON, upscale=2, embed_dim=12, depths=[2], num_heads=[2], upsampler="pixelshuffledirect"),
}
REPEATS = 5
ACCELERATOR_REPEATS = 10
PHOTO = ROOT / "docs" / "astronaut.png"  # RGB
PHOTO_SIDE = 256


def timings(call: Callable[[], object], repeats: int = REPEATS) -> dict[str, float]:
    """Times a first call and some more, in seconds.

    Args:
      call: function to time, which returns when the work is done.
      repeats: number of calls after the first.

    Returns:
      `first`, and `median`, `minimum` and `maximum` of the later calls.
    """
    seconds = []
    for _ in range(1 + repeats):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    first, *later = seconds
    return {"first": first, "median": statistics.median(later), "minimum": min(later), "maximum": max(later)}


def report(call: Callable[[], object], started: float, compiling: float | None = None) -> None:
    """Times a first call and five more, and prints one JSON line.

    Args:
      call: function to time, which returns when the work is done.
      started: `time.perf_counter()` when the process began.
      compiling: seconds of compilation before the first call; None if the first call compiles.
    """
    before = time.perf_counter()
    times = timings(call)
    result = {
        "first": before + times["first"] - started,
        "compiling": times["first"] if compiling is None else compiling,
        "median": times["median"],
        "minimum": times["minimum"],
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    print(json.dumps({key: round(value, 3) for key, value in result.items()}))
