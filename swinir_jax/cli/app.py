"""`swinir-jax app`."""

import argparse
import asyncio
import contextlib
import logging
import signal
import threading
import webbrowser

from aiohttp import web

from swinir_jax.app.limits import Limits
from swinir_jax.app.networks import Networks, offers_by_purpose, offers_of_models
from swinir_jax.app.server import make_app, make_runner
from swinir_jax.cli.devices import check_devices
from swinir_jax.cli.model_options import (
    add_memory_option,
    add_pixels_option,
    add_tile_option,
    model_names,
    size_in_bytes,
)
from swinir_jax.config import SwinIRConfig
from swinir_jax.errors import InputError

logger = logging.getLogger(__name__)

_HOST = "127.0.0.1"  # this machine alone
_SHUTDOWN_SECONDS = 1.0  # for answers that are being sent
_ENDING = (signal.SIGINT, signal.SIGTERM)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument(
        "--model",
        help="restore all pictures by this model, model folder, weight file or its https address, or by several with "
        "commas between, in turn (default: by purpose)",
    )
    parser.add_argument(
        "--port",
        type=int,
        default=8420,
        help="serve at this port of this machine; 0 takes any free one, where the page forgets its settings (default: "
        "%(default)s)",
    )
    parser.add_argument("--no-open", action="store_true", help="do not open the page in the browser")
    parser.add_argument(
        "--max-file",
        type=size_in_bytes,
        default=Limits.file_bytes,
        metavar="SIZE",
        help=f"refuse larger files, such as 2GB (default: {Limits.file_bytes / 1e6:g}MB)",
    )
    add_pixels_option(parser, default=Limits.pixels)
    add_tile_option(parser)
    add_memory_option(parser)
    parser.add_argument("--weights-dir", metavar="DIR", help="search this folder first for official weights")


def run(args: argparse.Namespace) -> int:
    """Serves the page until Ctrl-C."""
    if not 0 <= args.port <= 65535:
        raise InputError(f"--port must be 0 to 65535, got {args.port}.")
    if args.tile != "auto" and 0 != args.tile < SwinIRConfig.window_size:
        raise InputError(f"--tile must be auto, 0 or at least {SwinIRConfig.window_size}, got {args.tile}.")
    check_devices()
    limits = Limits(file_bytes=args.max_file, pixels=args.max_pixels)
    if args.model is None:
        offers = offers_by_purpose(args.weights_dir)
    else:
        offers = offers_of_models(model_names(args.model), weights_dir=args.weights_dir, progress=not args.quiet)
    networks = Networks(offers, tile=args.tile, memory=args.memory)
    asyncio.run(_serve(make_app(networks, limits), args.port, opening=not args.no_open))
    return 0


async def _serve(app: web.Application, port: int, *, opening: bool) -> None:
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    for number in _ENDING:
        with contextlib.suppress(NotImplementedError):  # on Windows, Ctrl-C raises KeyboardInterrupt
            loop.add_signal_handler(number, ended.set)
    runner = make_runner(app, shutdown_timeout=_SHUTDOWN_SECONDS)
    try:
        await runner.setup()
        try:
            await web.TCPSite(runner, _HOST, port).start()
        except OSError as error:
            raise InputError(
                f"--port {port}: cannot be listened on ({error.strerror}); the page may be open already at "
                f"http://{_HOST}:{port}/; else choose another port, or 0 for any free one."
            ) from error
        address = f"http://{_HOST}:{runner.addresses[0][1]}/"
        logger.info("the page is at %s; Ctrl-C ends it", address)
        if opening:
            # Some browsers run until they are closed, which the end of the command would wait for in an executor.
            threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
        await ended.wait()
        logger.info("ends as soon as no tile is being restored; Ctrl-C again ends at once")
    finally:
        await runner.cleanup()
        for number in _ENDING:  # the pictures are removed; Python waits for the thread that restores a tile
            signal.signal(number, signal.SIG_DFL)
