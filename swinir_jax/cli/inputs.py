"""Which files to restore, and where each result goes."""

import dataclasses
import glob
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from swinir_jax.errors import InputError
from swinir_jax.files import make_folder
from swinir_jax.images import SUFFIXES

_LOSSLESS = {".jpg": ".png", ".jpeg": ".png"}  # what was restored is not to be compressed again


@dataclasses.dataclass(frozen=True)
class Job:
    """One image: where it is read and where its result is written."""

    source: Path
    target: Path

    @property
    def comparison(self) -> Path:
        """Where the before/after picture goes."""
        return self.target.with_name(f"{self.target.stem}_compare.png")


def collect_jobs(inputs: Sequence[str], out: Path, *, recursive: bool = False, suffix: str | None = None) -> list[Job]:
    """Expands the command's inputs.

    Args:
      inputs: files, folders and glob patterns.
      out: folder for the results; a file's name, by its suffix, where there is one input.
      recursive: whether to descend into subfolders, which are kept below `out`.
      suffix: of the results; None for the input's, with PNG in place of JPEG.

    Returns:
      One job an image, in order, each with a target of its own.

    Raises:
      InputError: if an input does not exist, a folder or a pattern has no image, `out` is not a folder or cannot be
        made, or a result would overwrite its own input.
    """
    found = [(source, folder) for text in inputs for source, folder in _expand(text, recursive)]
    if out.suffix.lower() in SUFFIXES and not out.is_dir():
        if len(found) > 1:
            raise InputError(f"{out}: {len(found)} images need a folder, not a file.")
        jobs = [Job(found[0][0], out)]
    else:
        jobs = _name(found, out, suffix)
        make_folder(out)
    for job in jobs:
        if job.target.resolve() == job.source.resolve():
            raise InputError(f"{job.source}: would be overwritten by its own result; choose another --out.")
    return jobs


def _expand(text: str, recursive: bool) -> Iterator[tuple[Path, Path]]:
    """The images that one argument names, each with the folder that its result's path is relative to."""
    path = Path(text)
    if path.is_dir():
        files = sorted(p for p in (path.rglob("*") if recursive else path.iterdir()) if p.is_file() and _is_image(p))
        if not files:
            raise InputError(f"{path}: no images in this folder{'' if recursive else ' (--recursive looks deeper)'}.")
        yield from ((file, path) for file in files)
    elif path.exists():
        yield path, path.parent
    elif glob.has_magic(text):
        files = [Path(name) for name in sorted(glob.glob(text, recursive=True)) if Path(name).is_file()]
        if not files:
            raise InputError(f"{text}: no file matches this pattern.")
        yield from ((file, file.parent) for file in files)
    else:
        raise InputError(f"{path}: no such file or folder.")


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def _name(found: Sequence[tuple[Path, Path]], out: Path, suffix: str | None) -> list[Job]:
    """Targets below `out`; where two would be the same (`a.jpg`, `a.png`), the inputs' suffixes stay in the names."""

    def target(source: Path, folder: Path) -> Path:
        old = source.suffix.lower()
        return out / source.relative_to(folder).with_suffix(suffix or _LOSSLESS.get(old, source.suffix))

    found = list(dict.fromkeys(found))
    taken = Counter(target(*pair) for pair in found)
    jobs = []
    for source, folder in found:
        path = target(source, folder)
        if taken[path] > 1:
            path = path.with_name(source.name + path.suffix)
        jobs.append(Job(source, path))
    again = [path for path, count in Counter(job.target for job in jobs).items() if count > 1]
    if again:
        raise InputError(f"{again[0]}: the result of more than one input; restore them into different folders.")
    return jobs
