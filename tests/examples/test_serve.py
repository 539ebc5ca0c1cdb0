"""The example's HTTP service, in this process, with clients on the same event loop."""

import asyncio
import collections
import contextlib
import io
import random
import struct
import threading
import zlib

import aiohttp
import numpy as np
import psutil
import pytest
from aiohttp import web
from goldens import TINY, params_of
from PIL import Image

import swinir_jax
from examples import serve

MODEL = swinir_jax.SwinIR(TINY)
PARAMS = params_of(TINY)
LIMITS = serve.Limits(queue=8, body=2**16, pixels=32 * 32, seconds=60, batch=4)
SIZES = [(16, 16), (11, 13), (24, 9)]  # the first two are padded to the same size
MEGABYTE = 2**20


def photo(size, seed):
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)


def png(image):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


def bomb(width, height):
    """A PNG whose header has other sides than the pixels."""
    header = b"IHDR" + struct.pack(">II", width, height) + b"\x08\x02\0\0\0"
    return png(photo((8, 8), 0)).replace(png(photo((8, 8), 0))[12:33], header + struct.pack(">I", zlib.crc32(header)))


@contextlib.asynccontextmanager
async def serving(limits=LIMITS):
    """Runs the service; yields the runner and a client."""
    runner = web.AppRunner(serve.make_app(MODEL, PARAMS, limits))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0]
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(f"http://{host}:{port}", connector=connector) as client:
        yield runner, client
    await runner.cleanup()


async def post(client, body):
    """Posts a body; returns status, content and headers of the answer."""
    async with client.post("/restore", data=body() if callable(body) else body) as response:
        return response.status, await response.read(), response.headers


async def chunks(count):
    for _ in range(count):
        yield b"\x89PNG" + bytes(2**16 - 4)


def pixels(content):
    return np.asarray(Image.open(io.BytesIO(content)))


def assert_restored(content, expected):
    """Compares to one level of 8 bits."""
    np.testing.assert_allclose(pixels(content).astype(int), expected, rtol=0, atol=1)


class Gate:
    """Stops the worker before each batch until the gate is opened, and notes the number of pictures in each batch."""

    def __init__(self, monkeypatch):
        self.entered, self.opened, self.batches = threading.Event(), threading.Event(), []
        run = serve.Batcher._run

        def gated(batcher, images):
            self.batches.append(len(images))
            self.entered.set()
            assert self.opened.wait(60)
            return run(batcher, images)

        monkeypatch.setattr(serve.Batcher, "_run", gated)


@pytest.fixture
def gate(monkeypatch):
    return Gate(monkeypatch)


def test_200_requests_at_once_are_each_answered_rightly_in_bounded_memory():
    restorer = swinir_jax.Restorer(MODEL, PARAMS, tile=0)
    photos = [photo(SIZES[i % len(SIZES)], i) for i in range(12)]
    good = [(200, png(image), restorer(image)) for image in photos]
    bad = [
        (413, png(np.zeros((33, 32, 3), np.uint8)), "33 x 32|32 x 33"),
        (413, bomb(100_000, 100_000), "more than the limit of 1024"),
        (413, lambda: chunks(128), "Maximum request body size"),  # 8 MB, of which 64 kB are allowed
        (400, good[0][1][:200], "Not a whole"),
        (400, b"hello", "Not a whole"),
        (400, b"", "Not a whole"),
        (400, png(np.zeros((8, 8), np.uint16)), "only"),
    ]
    requests = [good[i % len(good)] for i in range(120)] + [bad[i % len(bad)] for i in range(80)]
    random.Random(0).shuffle(requests)
    statuses, inside, rise = collections.Counter(), [], []

    async def ask(client, expected, body, answer):
        while True:
            status, content, headers = await post(client, body)
            statuses[status] += 1
            if status != 503:
                break
            assert int(headers["Retry-After"]) >= 1
            await asyncio.sleep(0.05)
        assert status == expected, content
        if status == 200:
            assert_restored(content, answer)
        else:
            assert any(part in content.decode() for part in answer.split("|"))

    async def watch(client):
        process = psutil.Process()
        before = process.memory_info().rss
        while True:
            async with client.get("/healthz") as response:
                health = await response.json()
            inside.append(health["inside"])
            rise.append(process.memory_info().rss - before)
            await asyncio.sleep(0.01)

    async def storm():
        async with serving() as (_, client):
            for request in good[:3] + bad:  # compiles
                await ask(client, *request)
            statuses.clear()
            watching = asyncio.create_task(watch(client))
            await asyncio.gather(*(ask(client, *request) for request in requests))
            watching.cancel()

    asyncio.run(storm())
    assert statuses[200] == 120
    assert sum(statuses.values()) - statuses[503] == 200
    assert statuses[503] > 0
    assert max(inside) == LIMITS.queue
    assert max(rise) < 64 * MEGABYTE  # the bodies together are more


def test_waiting_pictures_of_one_padded_size_share_a_batch(gate):
    first, *rest = [photo(size, 1) for size in [(24, 9), (16, 16), (24, 9), (11, 13), (9, 16), (24, 16)]]

    async def run():
        async with serving() as (_, client):
            answers = [asyncio.create_task(post(client, png(first)))]
            await asyncio.to_thread(gate.entered.wait)
            answers += [asyncio.create_task(post(client, png(image))) for image in rest]
            await inside(client, 6)
            await asyncio.sleep(0.2)  # decoding, between counting and batching
            gate.opened.set()
            return await asyncio.gather(*answers)

    answers = asyncio.run(run())
    assert gate.batches == [1, 3, 2] or gate.batches == [1, 2, 3]
    restorer = swinir_jax.Restorer(MODEL, PARAMS, tile=0)
    for (status, content, _), image in zip(answers, [first, *rest], strict=True):
        assert status == 200
        assert_restored(content, restorer(image))


async def inside(client, count):
    """Waits until `count` requests are inside."""
    async with asyncio.timeout(60):
        while (await (await client.get("/healthz")).json())["inside"] != count:
            await asyncio.sleep(0.01)


def test_slow_work_is_504_and_the_next_request_is_served(gate):
    async def run():
        async with serving(serve.Limits(seconds=0.3)) as (_, client):
            status, content, _ = await post(client, png(photo((8, 8), 1)))
            assert (status, content) == (504, b"Not restored in 0.3 s.\n")
            async with client.get("/healthz") as response:
                assert await response.json() == {"inside": 0, "queue": 32}
            gate.opened.set()
            async with asyncio.timeout(60):  # the program is being compiled
                while (await post(client, png(photo((8, 8), 1))))[0] == 504:
                    pass
            return await post(client, png(photo((8, 8), 1)))

    assert asyncio.run(run())[0] == 200


def test_a_slow_body_is_408_and_holds_its_place_in_the_queue():
    async def slow():
        yield b"\x89PNG"
        await asyncio.sleep(10)

    async def run():
        async with serving(serve.Limits(queue=1, seconds=2)) as (_, client):
            waiting = asyncio.create_task(post(client, slow()))
            await inside(client, 1)
            status, content, headers = await post(client, b"")
            assert (status, content, headers["Retry-After"]) == (503, b"The queue is full.\n", "1")
            return await waiting

    assert asyncio.run(run())[:2] == (408, b"The body took too long.\n")


def test_a_client_that_goes_away_is_no_failure_and_leaves_its_place(caplog):
    async def ends_early():
        yield b"\x89PNG"
        raise ConnectionError

    async def run():
        async with serving(serve.Limits(queue=1)) as (_, client):
            with pytest.raises((aiohttp.ClientError, ConnectionError)):
                await post(client, ends_early())
            await inside(client, 0)
            return await post(client, b"")

    with caplog.at_level("ERROR"):
        assert asyncio.run(run())[0] == 400
    assert caplog.text == ""


def test_a_failure_is_500_and_the_service_goes_on(monkeypatch):
    run_batch = serve.Batcher._run
    failures = iter([MemoryError("out of memory")])

    def failing(batcher, images):
        for error in failures:
            raise error
        return run_batch(batcher, images)

    monkeypatch.setattr(serve.Batcher, "_run", failing)

    async def run():
        async with serving() as (_, client):
            return [(await post(client, png(photo((8, 8), 1))))[0] for _ in range(2)]

    assert asyncio.run(run()) == [500, 200]


def test_the_end_waits_for_requests_that_are_inside(gate):
    async def run():
        async with serving() as (runner, client):
            host, port = runner.addresses[0]
            answer = asyncio.create_task(post(client, png(photo((8, 8), 1))))
            await asyncio.to_thread(gate.entered.wait)
            ending = asyncio.create_task(runner.cleanup())
            await asyncio.sleep(0.1)
            with pytest.raises(aiohttp.ClientConnectionError):
                async with aiohttp.ClientSession() as other:
                    await other.get(f"http://{host}:{port}/healthz")
            gate.opened.set()
            status, _, _ = await answer
            await ending
            return status

    assert asyncio.run(run()) == 200


def test_sizes_are_compiled_before_the_port_opens(monkeypatch):
    """Programs are compiled by padded size; requests of a warm size compile nothing."""
    compiled = []
    compile_program = serve.Batcher._compile
    monkeypatch.setattr(
        serve.Batcher, "_compile", lambda self, shape: compiled.append(shape) or compile_program(self, shape)
    )

    async def start():
        runner = web.AppRunner(serve.make_app(MODEL, PARAMS, LIMITS, [(13, 11), (9, 24)]))
        await runner.setup()
        await runner.cleanup()

    asyncio.run(start())
    assert len(compiled) == 2
