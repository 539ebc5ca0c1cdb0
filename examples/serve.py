"""Serves a network over HTTP: an example to start from, not a product.

    python examples/serve.py --port 8080 &
    curl --data-binary @photo.png http://127.0.0.1:8080/restore --output restored.png
    curl http://127.0.0.1:8080/healthz

For many clients; `swinir-jax app` is for one person, and keeps all that a picture file holds (docs/app.md). Pictures of
the same padded size share a batch and a compiled program. At most `--queue` requests are inside at a time, which bounds
the memory. Answers to POST /restore:
    200  the restored picture, an RGB PNG        413  more bytes or pixels than allowed
    400  not a picture; the text says why        503  the queue is full: see Retry-After
    408  the body took too long to arrive        504  restoring took too long

Each padded size is compiled at its first picture, which takes seconds. `--warm 512x512` compiles before the port opens,
so that /healthz answers only then. Standard error has a line for each request, and the traceback of a fault.

SIGTERM and Ctrl-C end the service after the requests that are inside. glibc's malloc keeps some memory for each thread:
`MALLOC_ARENA_MAX=1` in front of the command saves about 80 MB (`benchmarks/soak.py`).
"""

import argparse
import asyncio
import collections
import contextlib
import dataclasses
import functools
import io
import logging
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import numpy as np
from aiohttp import web
from PIL import Image, ImageOps

import swinir_jax
from swinir_jax import gpu
from swinir_jax.inference.network import network_for
from swinir_jax.inference.padding import cut, pad_image, padded_side

FORMATS = ("PNG", "JPEG", "WEBP")
MODES = ("L", "P", "RGB")  # modes that convert to RGB; transparent colours become opaque


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits of the service, each an option of the command."""

    queue: int = 32  # requests inside at a time
    body: int = 8 * 2**20  # bytes of a request's body
    pixels: int = 512 * 512  # pixels of a picture
    seconds: float = 60.0  # for the body to arrive, and again for the answer
    batch: int = 1  # pictures restored at a time; a GPU gains from 8, a CPU gains nothing
    programs: int = 16  # compiled programs that are kept, one for each padded size


@dataclasses.dataclass(eq=False)
class Job:
    """A picture `[H, W, 3]` float32, padded to windows, and a future for the answer `[H * scale, W * scale, 3]`."""

    padded: np.ndarray
    answer: asyncio.Future[np.ndarray]


class Batcher:
    """Restores pictures as they arrive, those of one padded size together, in one worker thread."""

    def __init__(self, model: swinir_jax.SwinIR, params: Mapping[str, Any], limits: Limits):
        self._config, self._batch = model.config, limits.batch
        device = jax.devices()[0]
        self._network = network_for(model, device.platform, fused=gpu.runs_on(device))
        self._weights = jax.device_put(self._network.prepare(params))
        self._program = functools.lru_cache(limits.programs)(self._compile)
        self._jobs: collections.deque[Job] = collections.deque()
        self._arrived = asyncio.Event()

    async def restore(self, image: np.ndarray) -> np.ndarray:
        """Restores `[h, w, 3]` uint8 to `[h * scale, w * scale, 3]` uint8, as a Restorer with `tile=0` does."""
        h, w, _ = image.shape
        multiple, scale = self._config.side_multiple, self._config.upscale
        height, width = padded_side(h, multiple, "reflect"), padded_side(w, multiple, "reflect")
        padded = pad_image(image.astype(np.float32) / 255, height, width, "reflect")
        job = Job(padded, asyncio.get_running_loop().create_future())
        self._jobs.append(job)
        self._arrived.set()
        restored = cut(await job.answer, (h, w), scale, "reflect")
        return np.round(255 * np.clip(restored, 0, 1)).astype(np.uint8)

    async def work(self) -> None:
        """Restores batch after batch until the task is cancelled."""
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1) as worker:
            while True:
                await self._arrived.wait()
                jobs = self._next_batch()
                if not jobs:
                    self._arrived.clear()
                    continue
                answers: list[np.ndarray | Exception]
                try:
                    answers = list(await loop.run_in_executor(worker, self._run, [job.padded for job in jobs]))
                except Exception as error:  # concerns this batch alone: the service goes on
                    answers = [error] * len(jobs)
                for job, answer in zip(jobs, answers, strict=True):
                    if job.answer.done():  # nobody waits for the answer any more
                        continue
                    if isinstance(answer, Exception):
                        job.answer.set_exception(answer)
                    else:
                        job.answer.set_result(answer)

    def _next_batch(self) -> list[Job]:
        """Takes the oldest job and others of the same size; jobs that nobody waits for any more are dropped."""
        jobs = [job for job in self._jobs if not job.answer.done()]
        batch = [job for job in jobs if job.padded.shape == jobs[0].padded.shape][: self._batch]
        self._jobs = collections.deque(job for job in jobs if job not in batch)
        return batch

    def _run(self, images: list[np.ndarray]) -> np.ndarray:
        filling = [images[-1]] * (self._batch - len(images))  # full batches, so that each size needs one program
        return np.asarray(self._program(images[0].shape)(self._weights, np.stack(images + filling)))[: len(images)]

    def _compile(self, shape: tuple[int, ...]) -> jax.stages.Compiled:
        lq = jax.ShapeDtypeStruct((self._batch, *shape), np.float32)
        return jax.jit(self._network.restore).lower(self._weights, lq).compile()


def decode(body: bytes, limits: Limits) -> np.ndarray:
    """Decodes a picture file to `[h, w, 3]` uint8, upright; raises the HTTP answer for a file that is not accepted."""
    try:
        with Image.open(io.BytesIO(body), formats=FORMATS) as image:
            if image.height * image.width > limits.pixels:  # by the header: nothing is decoded yet
                raise too_large(f"{image.width} x {image.height} pixels", limits)
            if image.mode not in MODES:
                raise web.HTTPBadRequest(text=f"Mode {image.mode} is not accepted, only {', '.join(MODES)}.\n")
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except web.HTTPException:
        raise
    except Image.DecompressionBombError as error:  # Pillow's own limit comes first
        raise too_large("The pixels", limits) from error
    except Exception as error:  # decoders of damaged files raise nearly anything
        raise web.HTTPBadRequest(
            text=f"Not a whole {' or '.join(FORMATS)} picture: {type(error).__name__}.\n"
        ) from error


def too_large(pixels: str, limits: Limits) -> web.HTTPException:
    """Returns the answer to a picture of too many pixels."""
    text = f"{pixels} are more than the limit of {limits.pixels}.\n"
    return web.HTTPRequestEntityTooLarge(limits.pixels, limits.pixels + 1, text=text)


def encode(image: np.ndarray) -> bytes:
    """Encodes `[h, w, 3]` uint8 as a PNG file."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG", compress_level=1)
    return file.getvalue()


class Service:
    """The HTTP handlers, which count the requests that are inside."""

    def __init__(self, batcher: Batcher, limits: Limits):
        self._batcher, self._limits, self._inside = batcher, limits, 0

    async def healthz(self, request: web.Request) -> web.Response:
        """Answers with the number of requests inside and the largest allowed."""
        return web.json_response({"inside": self._inside, "queue": self._limits.queue})

    async def restore(self, request: web.Request) -> web.Response:
        """Restores the picture that is the request's body."""
        if self._inside >= self._limits.queue:  # asked before the body is read, which takes memory, too
            raise web.HTTPServiceUnavailable(text="The queue is full.\n", headers={"Retry-After": "1"})
        self._inside += 1
        try:
            return await self._restore(request)
        finally:
            self._inside -= 1

    async def _restore(self, request: web.Request) -> web.Response:
        try:
            async with asyncio.timeout(self._limits.seconds):
                body = await request.read()
        except TimeoutError:
            raise web.HTTPRequestTimeout(text="The body took too long.\n") from None
        except ConnectionError:  # the client has gone, and nobody reads this
            raise web.HTTPBadRequest(text="The body ended early.\n") from None
        image = await asyncio.to_thread(decode, body, self._limits)
        try:
            async with asyncio.timeout(self._limits.seconds):
                restored = await self._batcher.restore(image)
        except TimeoutError:
            raise web.HTTPGatewayTimeout(text=f"Not restored in {self._limits.seconds} s.\n") from None
        return web.Response(body=await asyncio.to_thread(encode, restored), content_type="image/png")


def make_app(
    model: swinir_jax.SwinIR, params: Mapping[str, Any], limits: Limits, warm: Sequence[tuple[int, int]] = ()
) -> web.Application:
    """Makes the service, as an aiohttp application, for an RGB network; compiles for (width, height) of `warm`."""
    batcher = Batcher(model, params, limits)
    service = Service(batcher, limits)

    async def working(app: web.Application) -> AsyncIterator[None]:
        task = asyncio.create_task(batcher.work())
        for width, height in warm:
            await batcher.restore(np.zeros((height, width, 3), np.uint8))
        yield  # until the last request is answered
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    app = web.Application(client_max_size=limits.body)
    app.cleanup_ctx.append(working)
    app.add_routes([web.get("/healthz", service.healthz), web.post("/restore", service.restore)])
    return app


def size(text: str) -> tuple[int, int]:
    """Parses a width and a height such as `512x512`."""
    match = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", text)
    if not match:
        raise argparse.ArgumentTypeError(f"a size is WIDTHxHEIGHT, not {text!r}")
    return int(match[1]), int(match[2])


def main() -> None:
    """Serves until a signal stops it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--model", default="lightweight_x2", help="name, folder or weight file; default: %(default)s")
    parser.add_argument("--host", default="127.0.0.1", help="default: %(default)s")
    parser.add_argument("--port", type=int, default=8080, help="default: %(default)s")
    parser.add_argument(
        "--warm", type=size, nargs="*", default=[], metavar="WxH", help="compile for these sizes at start"
    )
    for field in dataclasses.fields(Limits):
        parser.add_argument(f"--{field.name}", type=field.type, default=field.default, help="default: %(default)s")
    args = parser.parse_args()
    limits = Limits(**{field.name: getattr(args, field.name) for field in dataclasses.fields(Limits)})
    if not all(limit > 0 for limit in dataclasses.astuple(limits)):
        parser.error("each limit must be above 0")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    model, params = swinir_jax.load_pretrained(args.model)
    if model.config.in_chans != 3 or model.config.ape:
        parser.error(f"--model {args.model} is not a network for RGB pictures of any size")
    app = make_app(model, params, limits, args.warm)
    web.run_app(app, host=args.host, port=args.port, shutdown_timeout=2 * limits.seconds)


if __name__ == "__main__":
    main()
