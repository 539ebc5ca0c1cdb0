"""The page's HTTP server."""

import asyncio
import contextlib
import json
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

from aiohttp import web

from swinir_jax.app.jobs import Job, Jobs
from swinir_jax.app.limits import Limits
from swinir_jax.app.networks import Networks, Offer
from swinir_jax.app.page import TYPES, page_files
from swinir_jax.app.security import add_headers, only_own_page
from swinir_jax.app.upload import receive
from swinir_jax.errors import InputError, printable

_ALIVE_SECONDS = 15  # between signs of life in a stream of events
_SWEEP_SECONDS = 10


class Handlers:
    """The answers to requests."""

    def __init__(self, jobs: Jobs, networks: Networks, limits: Limits):
        self._jobs, self._networks, self._limits = jobs, networks, limits
        self._files = {f"/{name}": data for name, data in page_files().items() if Path(name).suffix in TYPES}

    def routes(self) -> list[web.RouteDef]:
        """Returns the addresses that are answered."""
        return [
            web.get("/api/choices", self.choices),
            web.post("/api/jobs", self.upload),
            web.get("/api/jobs/{key}/events", self.events),
            web.get("/api/jobs/{key}/{which:before|after}", self.preview),
            web.get("/api/jobs/{key}/result", self.result),
            web.delete("/api/jobs/{key}", self.remove),
            web.get("/{path:.*}", self.file),
        ]

    async def file(self, request: web.Request) -> web.Response:
        """Answers with a file of the page; no other file is read."""
        path = "/index.html" if request.path == "/" else request.path
        if path not in self._files:
            raise web.HTTPNotFound(text="There is no such page.\n")
        return web.Response(body=self._files[path], content_type=TYPES[Path(path).suffix], charset="utf-8")

    async def choices(self, request: web.Request) -> web.Response:
        """Answers with what can be done, and the limits."""
        choices = [offer.describe() for offer in self._networks.offers.values()]
        limits = {"bytes": self._limits.file_bytes}
        return web.json_response({"choices": choices, "limits": limits})

    async def upload(self, request: web.Request) -> web.Response:
        """Takes the picture that is the request's body, and answers with the job's key."""
        if "Content-Encoding" in request.headers:
            raise web.HTTPUnsupportedMediaType(text="Send the file as it is, without Content-Encoding.\n")
        if self._jobs.is_full:
            raise web.HTTPServiceUnavailable(text="Too many pictures are kept: download some, or restart the server.\n")
        job = self._jobs.new(_file_name(request.query.get("name", "")), self._chosen(request.query.get("choice", "")))
        try:
            header = await receive(request, job.upload, self._limits)
        except BaseException as error:
            self._jobs.remove(job)
            if isinstance(error, InputError):
                text = str(error).replace(str(job.upload), job.name)
                raise web.HTTPUnprocessableEntity(text=f"{text}\n") from error
            if isinstance(error, ConnectionError | web.RequestPayloadError):  # the browser has gone, or is none
                raise web.HTTPBadRequest(text="The file did not arrive whole.\n") from error
            if isinstance(error, OSError):
                text = f"{job.name}: cannot be kept by the server ({error.strerror}).\n"
                raise web.HTTPInsufficientStorage(text=text) from error
            raise
        self._jobs.start(job, header)
        return web.json_response({"key": job.key}, status=201)

    async def events(self, request: web.Request) -> web.StreamResponse:
        """Sends the job's state at each change, as server-sent events, until the job is over."""
        job = self._job(request)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        with contextlib.suppress(ConnectionError):  # the page was closed or loaded again
            await response.prepare(request)
            while True:
                news = job.news
                await response.write(b"data: %s\n\n" % json.dumps(job.describe()).encode())
                if job.is_over:
                    break
                while not await _happens(news):
                    await response.write(b": alive\n\n")
        return response

    async def preview(self, request: web.Request) -> web.StreamResponse:
        """Answers with an 8-bit PNG of the picture or of the result, or without content if there can be none."""
        job, which = self._job(request), request.match_info["which"]
        try:
            file = await job.preview("before" if which == "before" else "after", self._networks.memory)
        except (InputError, OSError, MemoryError):
            return web.Response(status=204)
        return web.FileResponse(file, headers={"Content-Type": "image/png"})

    async def result(self, request: web.Request) -> web.StreamResponse:
        """Answers with the result's file, which is removed some time later."""
        job = self._job(request)
        if job.outcome is None:
            raise web.HTTPNotFound(text="There is no result.\n")
        self._jobs.note_download(job)
        disposition = f"attachment; filename*=UTF-8''{quote(job.outcome.name, safe='')}"
        headers = {"Content-Type": "application/octet-stream", "Content-Disposition": disposition}
        return web.FileResponse(job.outcome.file, headers=headers)

    async def remove(self, request: web.Request) -> web.Response:
        """Stops a job and removes its files."""
        self._jobs.remove(self._job(request))
        return web.Response(status=204)

    def _job(self, request: web.Request) -> Job:
        try:
            return self._jobs[request.match_info["key"]]
        except KeyError:
            raise web.HTTPNotFound(text="This picture is not kept any more.\n") from None

    def _chosen(self, key: str) -> Offer:
        try:
            return self._networks.offers[key]
        except KeyError:
            raise web.HTTPBadRequest(text=f"There is no choice {printable(key)!r}.\n") from None


async def _happens(event: asyncio.Event) -> bool:
    """Waits for an event; returns whether it has happened before it was time for a sign of life."""
    try:
        async with asyncio.timeout(_ALIVE_SECONDS):
            await event.wait()
    except TimeoutError:
        return False
    return True


def _file_name(told: str) -> str:
    """Returns the last part of a path that a browser told, without control characters."""
    last = told.replace("\\", "/").rpartition("/")[2]
    name = "".join(c for c in last if printable(c) == c)
    return name if name.strip(" .") else "picture"


def make_app(networks: Networks, limits: Limits) -> web.Application:
    """Makes the server, as an aiohttp application. Temporary files are removed when the application ends."""
    folder = tempfile.TemporaryDirectory(prefix="swinir_jax_", ignore_cleanup_errors=True)
    jobs = Jobs(networks, limits, Path(folder.name))

    async def working(app: web.Application) -> AsyncIterator[None]:
        with folder:
            sweeper = asyncio.create_task(_sweep(jobs))
            yield
            sweeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await sweeper

    async def stop(app: web.Application) -> None:
        await jobs.close()

    app = web.Application(middlewares=[only_own_page])
    app.cleanup_ctx.append(working)
    app.on_shutdown.append(stop)
    app.on_response_prepare.append(add_headers)
    app.add_routes(Handlers(jobs, networks, limits).routes())
    return app


def make_runner(app: web.Application, *, shutdown_timeout: float) -> web.AppRunner:
    """Makes what runs the server; bodies arrive as they are sent, since `upload` refuses encoded ones."""
    return web.AppRunner(app, access_log=None, shutdown_timeout=shutdown_timeout, auto_decompress=False)


async def _sweep(jobs: Jobs) -> None:
    while True:
        await asyncio.sleep(_SWEEP_SECONDS)
        jobs.sweep()
