"""The page's server in this process, with a small network, and a client on the same event loop."""

import asyncio
import contextlib
import io
import json

import aiohttp
import numpy as np
from aiohttp import web
from PIL import Image
from small_model import CONFIG, PARAMS

from swinir_jax import SwinIR
from swinir_jax.app.limits import Limits
from swinir_jax.app.networks import Networks, offer_of_networks
from swinir_jax.app.server import make_app, make_runner

OFFER = offer_of_networks(["small"], [(SwinIR(CONFIG), PARAMS)])
NETWORKS = Networks([OFFER], tile=16)  # shared by all servers, so that one program is compiled


def png(height=24, width=40):
    file = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


class Client:
    """Asks a server as the page does."""

    def __init__(self, session, address):
        self.session, self.address = session, address

    async def ask(self, method, path, **options):
        """Returns status, headers and content of an answer."""
        async with self.session.request(method, path, **options) as answer:
            return answer.status, answer.headers, await answer.read()

    async def upload(self, body, name="photo.png", choice=OFFER.key, **options):
        """Returns status and text of the answer, or the key."""
        query = {"name": name, "choice": choice}
        status, _, content = await self.ask("POST", "/api/jobs", params=query, data=body, **options)
        return (status, content.decode()) if status != 201 else json.loads(content)["key"]

    async def states(self, key):
        """Yields what the server tells of a job."""
        async with self.session.get(f"/api/jobs/{key}/events") as answer:
            async for line in answer.content:
                if line.startswith(b"data: "):
                    yield json.loads(line.removeprefix(b"data: "))

    async def end(self, key):
        """Returns the last state of a job."""
        return [state async for state in self.states(key)][-1]


@contextlib.asynccontextmanager
async def serving(limits=None):
    """Runs the server; yields a client."""
    runner = make_runner(make_app(NETWORKS, limits or Limits()), shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        address = f"http://127.0.0.1:{runner.addresses[0][1]}"
        async with aiohttp.ClientSession(address) as session:
            yield Client(session, address)
    finally:
        await runner.cleanup()


def run(test):
    """Runs a coroutine function, and fails if it hangs."""
    return asyncio.run(asyncio.wait_for(test(), 60))
