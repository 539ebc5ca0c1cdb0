"""Runs examples/ray_restore.py twice on a local Ray with workers that die; the second time without what failed.

    python ray_worker.py SOURCE TARGET LOG

Writes into LOG `written`, a name for each result that was written, and `faults.json`, the answers of both times.
"""

import json
import os
import sys
from pathlib import Path

import ray

from examples import ray_restore

DIES_BEFORE, DIES_AFTER, KILLS_ALWAYS = "b.png", "deep/c.jpg", "d.png"


def main(source, target, log):
    class Logged(ray_restore.Place):
        """Folder that logs what is written."""

        def write(self, name, data):
            super().write(name, data)
            with open(Path(log, "written"), "a") as file:
                file.write(f"{name}\n")

    class Dying(ray_restore.Worker):
        """Worker that dies at some pictures, at the first attempt or at each one."""

        def __init__(self, source, target, options):
            super().__init__(source, Logged(target.files, target.root), options)

        def restore(self, name):
            first = not Path(log, f"tried {Path(name).name}").exists()
            Path(log, f"tried {Path(name).name}").touch()
            if name == KILLS_ALWAYS or (first and name == DIES_BEFORE):
                os._exit(1)
            fault = super().restore(name)
            if first and name == DIES_AFTER:
                os._exit(1)
            return fault

    ray.init(num_cpus=2, object_store_memory=80 * 2**20, include_dashboard=False, log_to_driver=False)
    options = ray_restore.parse([source, target, "--model", "network.pth", "--tile", "0", "--workers", "2"])
    ray_restore.RETRIES = 1
    faults = ray_restore.restore_all(source, target, options, Dying)
    for name in faults:
        Path(source, name).unlink()
    again = ray_restore.restore_all(source, target, options, Dying)
    Path(log, "faults.json").write_text(json.dumps([faults, again]))


if __name__ == "__main__":
    main(*sys.argv[1:])
