"""Watches whether the memory of examples/serve.py stays level under load.

    python benchmarks/soak.py [--seconds 600] [--clients 40]

Starts the service on a free port of 127.0.0.1. Each client sends one request after the other: pictures of five sizes,
and a third of broken requests (cut short, no picture, too large, a client that goes away). Prints the resident memory
of the service every ten seconds, and at the end the means of the last quarter and of the second, by when all programs
are compiled.
"""

import argparse
import asyncio
import collections
import contextlib
import io
import random
import socket
import subprocess
import sys
import time

import aiohttp
import numpy as np
import psutil
from PIL import Image
from tables import ROOT

SIZES = ((32, 32), (48, 64), (64, 64), (96, 80), (128, 96))
INTERVAL = 10  # seconds


def png(height: int, width: int, seed: int) -> bytes:
    """Makes a picture file of noise."""
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)).save(file, "PNG")
    return file.getvalue()


GOOD = [png(*size, seed) for seed, size in enumerate(SIZES)]
BROKEN = [GOOD[0][:500], b"hello", b"", png(600, 600, 9), GOOD[4][:-100] + bytes(100)]


async def ends_early():
    """Sends part of a body, then goes away."""
    yield GOOD[0][:500]
    await asyncio.sleep(0.2)
    raise ConnectionError


async def request_forever(address: str, seed: int, answers: collections.Counter) -> None:
    """Acts as one client until the task is cancelled."""
    draw = random.Random(seed)
    async with aiohttp.ClientSession() as client:
        while True:
            body = draw.choice(GOOD) if draw.random() < 2 / 3 else draw.choice([*BROKEN, ends_early])
            try:
                async with client.post(address, data=body() if callable(body) else body) as response:
                    await response.read()
                    answers[response.status] += 1
                    if response.status == 503:
                        await asyncio.sleep(int(response.headers["Retry-After"]))
            except (aiohttp.ClientError, ConnectionError):
                answers["ended early"] += 1


async def watch(process: psutil.Process, port: int, seconds: float, clients: int) -> list[int]:
    """Returns the resident memory in MB, measured every ten seconds."""
    answers: collections.Counter = collections.Counter()
    address = f"http://127.0.0.1:{port}/restore"
    tasks = [asyncio.create_task(request_forever(address, seed, answers)) for seed in range(clients)]
    start, series = time.perf_counter(), []
    while (passed := time.perf_counter() - start) < seconds:
        series.append(process.memory_info().rss // 2**20)
        print(f"{passed:4.0f} s  {series[-1]:4} MB  {process.num_threads()} threads  {dict(answers)}", flush=True)
        await asyncio.sleep(INTERVAL)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return series


def main() -> None:
    """Runs the service and the clients."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--clients", type=int, default=40)
    args = parser.parse_args()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    service = subprocess.Popen([sys.executable, str(ROOT / "examples" / "serve.py"), "--port", str(port)])
    try:
        while service.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.5)
        series = asyncio.run(watch(psutil.Process(service.pid), port, args.seconds, args.clients))
    finally:
        service.terminate()
        service.wait()
    quarter = len(series) // 4
    means = [np.mean(series[quarter : 2 * quarter]), np.mean(series[-quarter:])]
    print(f"second quarter {means[0]:.0f} MB, last quarter {means[1]:.0f} MB")


if __name__ == "__main__":
    main()
