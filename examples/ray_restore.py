"""Restores the pictures of a folder or bucket on a cluster by Ray Data.

    python examples/ray_restore.py photos restored --cpus $(nproc)
    python examples/ray_restore.py s3://archive/photos s3://archive/restored --workers 8 --gpus 1 --for photo

Each worker keeps the networks in memory and restores one picture at a time. The result of `a.jpg` is `a.jpg.png`, which
appears whole. Pictures with a result are passed over: if a worker dies, another one restores its picture, and the same
command continues after a stop. All machines must see the folders; buckets (`s3://`, `gs://`) are read by Arrow. Exit
code 1: some pictures have no result and are named; 2: nothing was restored, as for a mistake or if Ray does not start.
"""

import argparse
import dataclasses
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.fs
import ray
import ray.data

from swinir_jax import InputError, choose_models, load_pretrained, load_restorer
from swinir_jax.checkpoints.purposes import PURPOSES, SCALES
from swinir_jax.cli.model_options import pixels_in_millions, size_in_bytes
from swinir_jax.files import make_folder, write_bytes
from swinir_jax.images import READABLE, read_header
from swinir_jax.inference.chain import NetworkChain
from swinir_jax.inference.files import FileRestoration

RETRIES = 2  # of a picture whose worker dies; more would not end for a picture that kills each worker


@dataclasses.dataclass(frozen=True)
class Place:
    """A folder on a disk or in a bucket."""

    files: pyarrow.fs.FileSystem
    root: str

    @classmethod
    def at(cls, address: str) -> "Place":
        """Returns the place of a path or an address such as `s3://bucket/folder`; refuses what Arrow does not know."""
        try:
            return cls(*pyarrow.fs.FileSystem.from_uri(address if "://" in address else os.path.abspath(address)))
        except pyarrow.ArrowInvalid as error:
            raise InputError(f"{address}: {error}") from error

    def names(self) -> set[str]:
        """Returns the paths of all files, relative to the folder."""
        selector = pyarrow.fs.FileSelector(self.root, recursive=True, allow_not_found=True)
        found = self.files.get_file_info(selector)
        return {os.path.relpath(info.path, self.root) for info in found if info.type == pyarrow.fs.FileType.File}

    def has(self, name: str) -> bool:
        """Returns whether a file exists."""
        return self.files.get_file_info(f"{self.root}/{name}").type == pyarrow.fs.FileType.File

    def read(self, name: str) -> bytes:
        """Returns the content of a file."""
        with self.files.open_input_stream(f"{self.root}/{name}") as stream:
            return stream.read()

    def write(self, name: str, data: bytes) -> None:
        """Writes a file that appears whole; a bucket shows no other ones."""
        path = Path(self.root, name)
        if isinstance(self.files, pyarrow.fs.LocalFileSystem):
            make_folder(path.parent)
            write_bytes(path, data)
        else:
            self.files.create_dir(str(path.parent))
            with self.files.open_output_stream(str(path)) as stream:
                stream.write(data)


def result_name(name: str) -> str:
    """Returns the name of a picture's result; different pictures have different ones."""
    return f"{name}.png"


class Worker:
    """Restores pictures by their names; Ray Data keeps one object in each process.

    Args:
      source: place of the pictures.
      target: place of the results.
      options: options of the command.
    """

    def __init__(self, source: Place, target: Place, options: argparse.Namespace):
        self.source, self.target = source, target
        self.memory, self.max_pixels = options.memory, options.max_pixels
        self.restorer = self.load(options)

    @staticmethod
    def load(options: argparse.Namespace) -> NetworkChain:
        """Loads the networks."""
        common = {"tile": options.tile, "memory": options.memory}
        if options.model:
            return NetworkChain([load_pretrained(options.model)], **common)
        return load_restorer(choose_models(options.purpose, options.scale), **common)

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, Any]:
        """Restores a batch of Ray Data; returns what is wrong with each picture, empty for a restored one."""
        return {"name": batch["name"], "fault": [self.restore(str(name)) for name in batch["name"]]}

    def restore(self, name: str) -> str:
        """Restores a picture without a result; returns what is wrong with it."""
        if self.target.has(result_name(name)):  # the worker before this one died after it had written
            return ""
        with tempfile.TemporaryDirectory() as folder:
            picture, result = Path(folder, f"picture{Path(name).suffix}"), Path(folder, "result.png")
            picture.write_bytes(self.source.read(name))
            try:
                if self.max_pixels:
                    read_header(picture).check_pixels(self.max_pixels)
                by_rows = self.restorer.size_if_fits(picture) is None
                FileRestoration(picture, result, self.restorer, by_rows=by_rows, memory=self.memory).run()
            except InputError as error:
                return str(error).removeprefix(f"{picture}: ")
            self.target.write(result_name(name), result.read_bytes())
        return ""


def restore_all(source: str, target: str, options: argparse.Namespace, worker: type[Worker] = Worker) -> dict[str, str]:
    """Restores all pictures without a result.

    Args:
      source: address of the pictures.
      target: address of the results, outside of `source`.
      options: options of the command.
      worker: class of the workers.

    Returns:
      What is wrong, by the names of the pictures that have no result at the end.

    Raises:
      InputError: if there are no pictures, `target` lies in `source`, the networks cannot be loaded, or Ray does not
        start.
    """
    here, there = Place.at(source), Place.at(target)
    if here.files == there.files and f"{there.root}/".startswith(f"{here.root}/"):
        raise InputError(f"{target}: lies in {source}, whose pictures would include the results of this run.")
    names = here.names()
    pictures = sorted(name for name in names if Path(name).suffix.lower() in READABLE)
    if not pictures:
        raise InputError(f"{source}: no pictures found.")
    done = there.names()
    waiting = [name for name in pictures if result_name(name) not in done]
    print(
        f"{len(waiting)} pictures to restore, {len(pictures) - len(waiting)} have results, "
        f"{len(names) - len(pictures)} other files left out"
    )
    if not waiting:
        return {}
    worker.load(options)  # a mistake is told here in one line; weights are downloaded before several workers need them
    start_ray()
    ray.data.DataContext.get_current().max_errored_blocks = -1  # a picture that kills its workers stops no others
    answers = ray.data.from_items([{"name": name} for name in waiting], override_num_blocks=len(waiting)).map_batches(
        worker,
        fn_constructor_args=(here, there, options),
        batch_size=1,
        # One picture at a time: others in the queue of a worker that dies would be counted as tried.
        compute=ray.data.ActorPoolStrategy(size=options.workers, max_tasks_in_flight_per_actor=1),
        num_cpus=options.cpus,
        num_gpus=options.gpus,
        ray_remote_args_fn=lambda: {"max_task_retries": RETRIES},
    )
    faults = {row["name"]: row["fault"] for row in answers.iter_rows()}
    done = there.names()
    return {
        name: faults.get(name) or f"its worker died {RETRIES + 1} times"
        for name in waiting
        if result_name(name) not in done
    }


def start_ray() -> None:
    """Starts Ray on this machine, or joins the cluster of $RAY_ADDRESS; raises InputError if that fails."""
    try:
        if not ray.is_initialized():
            ray.init()
    except Exception as error:  # of many classes, some of them plain
        raise InputError(f"Ray does not start: {' '.join(str(error).split())}") from error


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("source", help="folder or address of the pictures")
    parser.add_argument("target", help="folder or address for the results")
    parser.add_argument("--workers", type=int, default=1, help="processes that restore (default: 1)")
    parser.add_argument("--cpus", type=float, default=1, help="CPUs that Ray reserves for a worker (default: 1)")
    parser.add_argument("--gpus", type=float, default=0, help="GPUs of a worker (default: 0)")
    parser.add_argument("--memory", type=size_in_bytes, help="memory of a worker, such as 8GB (default: a share)")
    parser.add_argument("--max-pixels", type=pixels_in_millions, metavar="MILLIONS", help="refuse larger pictures")
    parser.add_argument("--model", type=_model, help="name, folder or file of a network, in place of --for and --scale")
    parser.add_argument("--for", dest="purpose", choices=PURPOSES, default="photo", help="what the pictures are")
    parser.add_argument("--scale", type=int, choices=SCALES, help="enlargement (default: the purpose's)")
    parser.add_argument("--tile", type=int, default=256, help="side of tiles; 0: whole pictures (default: 256)")
    return parser.parse_args(arguments)


def _model(name: str) -> str:
    return os.path.abspath(name) if os.path.exists(name) else name  # a worker has another working folder


def main() -> int:
    """Restores all pictures and names those without a result."""
    options = parse()
    try:
        faults = restore_all(options.source, options.target, options)
    except (InputError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for name, fault in faults.items():
        print(f"failed: {name}: {fault}", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
