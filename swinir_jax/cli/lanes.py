"""Pictures of `swinir-jax restore` taken through their stages, one after the other on each device."""

import argparse
import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator, Sequence

from swinir_jax.cli.devices import files_beside, largest_beside_others
from swinir_jax.cli.display import Display
from swinir_jax.cli.planning import Job
from swinir_jax.files import make_folder
from swinir_jax.inference.chain import NetworkChain
from swinir_jax.inference.files import FileRestoration, Restored
from swinir_jax.inference.overlap import GetResult, in_lanes, overlapped


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lane:
    """A device that restores pictures in turn, while others are read and written.

    Attributes:
      number: number of the lane, from 0.
      restorer: the networks on the device.
      jobs: pictures of all lanes.
      beside: pictures that are read beside the one being restored, and pictures that are written.
      finish: called once a result is written; returns the seconds of the picture.
      display: progress on the terminal.
      args: options of the command.
    """

    number: int
    restorer: NetworkChain
    jobs: Sequence[Job]
    beside: int
    finish: Callable[[Job, Restored], float]
    display: Display
    args: argparse.Namespace

    def run(self, indices: Sequence[int], stopped: Callable[[], bool]) -> Iterator[tuple[int, GetResult[float]]]:
        """Restores the pictures at some indices of `jobs`, as `overlapped`."""
        under_way: dict[int, FileRestoration] = {}  # by index of the job

        def read(index: int) -> None:
            job = self.jobs[index]
            make_folder(job.target.parent)
            restoration = FileRestoration(
                job.source.file,
                job.target,
                self.restorer,
                by_rows=not job.size,
                memory=self.args.memory,
                background=self.args.background,
                quality=self.args.quality,
                strip_metadata=self.args.strip_metadata,
            )
            restoration.read()
            under_way[index] = restoration

        def restore(index: int) -> None:
            job, restoration = self.jobs[index], under_way.pop(index)  # one that fails is not kept
            with self.display.picture(self.number, index, job.source.name, job.size):
                restoration.restore()
            under_way[index] = restoration

        def write(index: int) -> float:
            return self.finish(self.jobs[index], under_way.pop(index).write())

        return overlapped(indices, read, restore, write, beside=self.beside, stopped=stopped)


def run_lanes(
    jobs: Sequence[Job],
    restorers: Sequence[NetworkChain],
    finish: Callable[[Job, Restored], float],
    display: Display,
    args: argparse.Namespace,
) -> Iterator[tuple[Job, GetResult[float]]]:
    """Restores pictures, each by one of the restorers, and a large one without others beside.

    Args:
      jobs: pictures, in order.
      restorers: the networks on each device.
      finish: called once a result is written; returns the seconds of the picture.
      display: progress on the terminal.
      args: options of the command.

    Yields:
      Each picture once it has ended, in order, and a function that returns what `finish` did, or raises the error.
    """
    beside = files_beside(len(restorers))
    lanes = [
        Lane(number=i, restorer=restorer, jobs=jobs, beside=beside, finish=finish, display=display, args=args)
        for i, restorer in enumerate(restorers)
    ]
    largest = largest_beside_others(len(lanes)) / restorers[0].scale ** 2
    for indices in _groups(jobs, 0 if args.memory is not None else largest):
        used = lanes if len(indices) > 1 else lanes[:1]
        for index, get_result in in_lanes(indices, [lane.run for lane in used]):
            yield jobs[index], get_result


def _groups(jobs: Sequence[Job], largest: float) -> Iterator[list[int]]:
    """Yields the indices of pictures in a row that may run side by side: those of at most `largest` pixels."""

    def is_small(index: int) -> bool:
        size = jobs[index].size
        return size is not None and math.prod(size) <= largest

    for small, group in itertools.groupby(range(len(jobs)), is_small):
        indices = [*group]
        yield from [indices] if small else ([index] for index in indices)
