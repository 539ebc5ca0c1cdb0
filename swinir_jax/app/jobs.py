"""Pictures that the server restores, one at a time."""

import asyncio
import contextlib
import dataclasses
import logging
import math
import shutil
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from swinir_jax.app.limits import Limits
from swinir_jax.app.networks import Networks, Offer, Outcome
from swinir_jax.app.previews import write_preview
from swinir_jax.app.security import new_key
from swinir_jax.errors import InputError
from swinir_jax.images import Header
from swinir_jax.inference.progress import Pace, Progress

logger = logging.getLogger(__name__)

State = Literal["waiting", "loading", "working", "done", "failed", "stopped"]


class Stopped(Exception):  # noqa: N818 (not an error)
    """Ends a restoration between two tiles."""


@dataclasses.dataclass(eq=False)
class Job:
    """One picture, from the upload to the download. All but `stopping` belongs to the event loop.

    Attributes:
      key: unguessable part of the job's addresses.
      name: the picture's file name, as the browser told it; never used as a path.
      offer: what is done.
      folder: temporary folder with the job's files, whose names do not depend on `name`.
      expiry: time at which the job is removed, in seconds of `time.monotonic`; infinite until the job is over.
      header: size and kind of the picture; None while it is uploaded.
      state: state of the job.
      progress: finished tiles, and the time that the others will take.
      text: why the job failed, in one line.
      outcome: the result, once there is one.
      stopping: whether the user has stopped the job.
      news: event that the next change sets; each change makes a new one.
    """

    key: str
    name: str
    offer: Offer
    folder: Path
    expiry: float = math.inf
    header: Header | None = None
    state: State = "waiting"
    progress: Progress = dataclasses.field(default_factory=Progress)
    text: str = ""
    outcome: Outcome | None = None
    stopping: threading.Event = dataclasses.field(default_factory=threading.Event)
    news: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)
    _drawing: asyncio.Lock = dataclasses.field(default_factory=asyncio.Lock)

    @property
    def upload(self) -> Path:
        """The picture's file, as uploaded."""
        return self.folder / "upload"

    @property
    def is_over(self) -> bool:
        """Whether the state will not change any more."""
        return self.state in ("done", "failed", "stopped")

    def tell(self, **changes: Any) -> None:
        """Changes attributes, and wakes those who wait for `news`, an event that is replaced each time."""
        for name, value in changes.items():
            setattr(self, name, value)
        news, self.news = self.news, asyncio.Event()
        news.set()

    def advance(self, count: int, total: int) -> None:
        """Counts finished tiles; the first call tells that the networks are loaded."""
        if not self.is_over:
            self.progress.advance(count, total)
            self.tell(state="working")

    def describe(self) -> Mapping[str, Any]:
        """Returns what the page shows of the job, as JSON values."""
        progress = self.progress
        fraction, left = progress.estimate() if self.state == "working" else (None, None)
        described: dict[str, Any] = dict(
            state=self.state, done=progress.done, total=progress.total, fraction=fraction, left=left
        )
        if self.text:
            described["text"] = self.text
        if self.outcome:
            described |= dict(
                name=self.outcome.name,
                width=self.outcome.width,
                height=self.outcome.height,
                seconds=self.outcome.seconds,
                notes=self.outcome.notes,
            )
        return described

    async def preview(self, which: Literal["before", "after"], memory: int | None) -> Path:
        """Returns a PNG file of the picture or of the result, which is written at the first call by `write_preview`."""
        if which == "before":
            source = self.upload
        elif self.outcome:
            source = self.outcome.file
        else:
            raise InputError("There is no result.")
        preview = self.folder / f"{which}.png"
        async with self._drawing:
            if not preview.exists():
                await asyncio.to_thread(write_preview, source, preview, memory)
        return preview


class Jobs:
    """The jobs by key. Each has a folder of its own, which is removed with the job."""

    def __init__(self, networks: Networks, limits: Limits, folder: Path):
        """Prepares for jobs.

        Args:
          networks: networks that restore.
          limits: how many jobs are kept, and how long.
          folder: folder for the jobs' folders.
        """
        self._networks, self._limits, self._folder = networks, limits, folder
        self._jobs: dict[str, Job] = {}
        self._turn = asyncio.Lock()  # first come, first served
        self._tasks: set[asyncio.Task[None]] = set()
        self._paces: defaultdict[str, Pace] = defaultdict(Pace)  # by offer; a pixel is a unit of work

    def __getitem__(self, key: str) -> Job:
        return self._jobs[key]

    @property
    def is_full(self) -> bool:
        """Whether no further job is accepted; failed and stopped ones keep no files, and do not count."""
        return sum(not job.is_over or job.outcome is not None for job in self._jobs.values()) >= self._limits.jobs

    def new(self, name: str, offer: Offer) -> Job:
        """Makes a job with an empty folder, to upload a picture to."""
        key = new_key()
        job = Job(key, name, offer, self._folder / key)
        job.folder.mkdir()
        self._jobs[key] = job
        return job

    def start(self, job: Job, header: Header) -> None:
        """Restores an uploaded picture as soon as those before it are finished."""
        job.header = header
        task = asyncio.create_task(self._run(job))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def remove(self, job: Job) -> None:
        """Forgets a job, and removes the files as soon as no tile is being restored."""
        job.stopping.set()
        self._jobs.pop(job.key, None)
        if job.state == "waiting":
            job.tell(state="stopped")
        if job.is_over:  # else `_run` removes the files
            shutil.rmtree(job.folder, ignore_errors=True)

    def note_download(self, job: Job) -> None:
        """Shortens the time for which a job is kept; an open file can be read to its end nevertheless."""
        job.expiry = min(job.expiry, time.monotonic() + self._limits.keep_after_download)

    def sweep(self) -> None:
        """Removes the jobs whose time is over."""
        for job in [job for job in self._jobs.values() if job.expiry < time.monotonic()]:
            self.remove(job)

    async def close(self) -> None:
        """Removes all jobs, and lets go of those who wait for news."""
        for job in list(self._jobs.values()):
            self.remove(job)
            job.tell(state="stopped")
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(self, job: Job) -> None:
        async with self._turn:
            if job.is_over or job.header is None:
                return
            pixels, pace = job.header.height * job.header.width, self._paces[job.offer.key]
            job.tell(state="loading", progress=Progress(pace.expect(pixels)))
            state, text = "failed", ""
            try:
                loop = asyncio.get_running_loop()
                job.outcome = await asyncio.to_thread(self._restore, job, loop.call_soon_threadsafe)
                state = "done"
                pace.learn(pixels, job.progress.seconds)
            except Stopped:
                state = "stopped"
            except (InputError, OSError) as error:
                text = str(error).replace(str(job.upload), job.name)
            except MemoryError:
                text = f"{job.name}: not enough memory."
            except Exception as error:
                logger.exception("%s: restoration failed", job.name)
                text = f"{job.name}: failed unexpectedly ({type(error).__name__}); the terminal shows more."
            finally:
                if state != "done" or job.key not in self._jobs:
                    shutil.rmtree(job.folder, ignore_errors=True)
                job.expiry = time.monotonic() + self._limits.keep_seconds
                job.tell(state=state, text=text)

    def _restore(self, job: Job, post: Callable[..., Any]) -> Outcome:
        """Restores in a thread of its own; `post` calls a function in the event loop."""

        def done(count: int, total: int) -> None:
            if job.stopping.is_set():
                raise Stopped
            with contextlib.suppress(RuntimeError):  # the loop is closed: the program ends
                post(job.advance, count, total)

        outcome = self._networks.restore(job.offer, job.upload, job.name, job.folder, done)
        if job.stopping.is_set():
            raise Stopped
        return outcome
