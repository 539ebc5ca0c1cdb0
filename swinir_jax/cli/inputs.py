"""Which files to restore, and where each result goes."""

import dataclasses
import glob
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from swinir_jax.errors import InputError
from swinir_jax.files import make_folder
from swinir_jax.images import SUFFIXES, is_image_file

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


def collect_jobs(
    inputs: Sequence[str], out: Path, *, recursive: bool = False, suffix: str | None = None, compare: bool = False
) -> list[Job]:
    """Expands the command's inputs.

    Args:
      inputs: files, folders and glob patterns.
      out: folder for the results; a file's name, by its suffix, where there is one input.
      recursive: whether to descend into subfolders, which are kept below `out`.
      suffix: of the results; None for the input's, with PNG in place of JPEG.
      compare: whether before/after pictures will be written, too.

    Returns:
      One job an image, in order, each with a target of its own.

    Raises:
      InputError: if an input does not exist, a folder or a pattern has no image, `out` is no folder, cannot be
        made or lies in a folder that is searched, or a result would overwrite an input or another result.
    """
    found = list(dict.fromkeys(pair for text in inputs for pair in _expand(text, recursive, out)))
    if out.suffix.lower() in SUFFIXES and not out.is_dir():
        if len(found) > 1:
            raise InputError(f"{out}: {len(found)} images need a folder, not a file.")
        jobs = [Job(found[0][0], out)]
        make_folder(out.parent)
    else:
        jobs = _name(found, out, suffix)
        make_folder(out)
    sources = {job.source.resolve() for job in jobs}
    written = [path for job in jobs for path in ((job.target, job.comparison) if compare else (job.target,))]
    for path, count in Counter(written).items():
        if count > 1:
            raise InputError(f"{path}: the result of more than one input; restore them into different folders.")
        if path.resolve() in sources:
            raise InputError(f"{path}: an input would be overwritten by a result; choose another --out.")
    return jobs


def _expand(text: str, recursive: bool, out: Path) -> Iterator[tuple[Path, Path]]:
    """The images that one argument names, each with the folder that its result's path is relative to."""
    path = Path(text)
    if not text:
        raise InputError("An input's name is empty.")
    if path.is_dir():
        if recursive and path.resolve() in out.resolve().parents:
            raise InputError(f"{out}: lies in {path}, whose subfolders are inputs; choose a folder outside.")
        files = sorted(file for file in (path.rglob("*") if recursive else path.iterdir()) if is_image_file(file))
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


def _name(found: Sequence[tuple[Path, Path]], out: Path, suffix: str | None) -> list[Job]:
    """Targets below `out`; where two would be the same (`a.jpg`, `a.png`), the inputs' suffixes stay in the names."""

    def target(source: Path, folder: Path) -> Path:
        old = source.suffix.lower()
        return out / source.relative_to(folder).with_suffix(suffix or _LOSSLESS.get(old, source.suffix))

    taken = Counter(target(*pair) for pair in found)
    jobs = []
    for source, folder in found:
        path = target(source, folder)
        if taken[path] > 1:
            path = path.with_name(source.name + path.suffix)
        jobs.append(Job(source, path))
    return jobs
