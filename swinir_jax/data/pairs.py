"""Matching of LQ files to HQ files by name, and of LQ sizes to HQ sizes."""

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePath

from swinir_jax.errors import InputError, first_few

logger = logging.getLogger(__name__)

Size = tuple[int, int]  # height, width
_Key = tuple[str, str]  # folders with a slash at the end, and name; equal for HQ and LQ of a pair
_Naming = Callable[[PurePath], _Key | None]  # maps an LQ file to the key of its HQ file; None if the name does not fit


def sizes_fit(hq: Size, lq: Size, scale: int) -> bool:
    """Tells whether the LQ sides are the HQ sides / `scale`, rounded down or, as in MATLAB, up."""
    return all(low in (high // scale, -(-high // scale)) for high, low in zip(hq, lq, strict=True))


def match_pairs(hq: Sequence[Path], lq: Sequence[Path], scale: int, template: str = "") -> list[tuple[Path, Path]]:
    """Pairs files by folders and names, or by names alone if the folders differ.

    Without a template, a pair has equal names, or names such as `baby` and `babyx2`, or `img_001_SRF_2_HR` and
    `img_001_SRF_2_LR`. If some files have no partner by these rules, the only template that pairs all files is used.

    Args:
      hq: HQ files, relative to their folder.
      lq: LQ files, relative to their folder.
      scale: HQ / LQ side ratio, a possible ending of LQ names.
      template: template of LQ names, where `{}` stands for the HQ name without suffix and with or without `_HR`:
        `{}_LR4`, or `X2/{}x2` for `X2/a/1x2.png` or `a/X2/1x2.png` beside `a/1.png`. Other LQ files are ignored.

    Returns:
      `(hq, lq)` for each HQ file, in the order of `hq`.

    Raises:
      InputError: if a file has no partner or more than one, or the template does not contain `{}` exactly once. The
        message names the first few files and the number of the others.
    """
    if template:
        pairs, problems = _match(hq, lq, _by_template(template))
    elif set(hq) == set(lq):
        return [(file, file) for file in hq]
    else:
        pairs, problems = _match(hq, lq, _usual_naming(hq, scale))
        inferred = _only_template(hq, lq) if problems else ""
        if inferred:
            logger.info("LQ files are named by the template %s.", inferred)
            pairs, problems = _match(hq, lq, _by_template(inferred))
    if problems:
        hint = (
            f"LQ files are named {template}"
            if template
            else "a template of LQ names such as --pairs {}_LR4 may help (in training --data.pairs, --validation.pairs)"
        )
        raise InputError(f"Pairs do not match: {first_few(problems)}; {hint}.")
    return pairs


def _match(hq: Sequence[Path], lq: Sequence[Path], naming: _Naming) -> tuple[list[tuple[Path, Path]], list[str]]:
    """Returns the pairs by folders and names or by names alone, whichever has fewer problems, and these problems."""
    lq_keys = {file: key for file in lq if (key := naming(file))}
    names = {name for _, name in lq_keys.values()}
    hq_keys = {
        file: (folders, name if name in names else _without_hr(name)) for file in hq for folders, name in [_key(file)]
    }
    attempts = []
    for with_folders in (True, False):
        by_hq, by_lq = (_groups(keys, with_folders) for keys in (hq_keys, lq_keys))
        problems = []
        for ours, theirs in ((by_hq, by_lq), (by_lq, by_hq)):
            for key, files in ours.items():
                if key not in theirs:
                    problems += [f"{file.as_posix()} has no partner" for file in files]
                if len(files) > 1:
                    problems.append(f"{files[0].as_posix()} and {files[1].as_posix()} have one partner")
        pairs = [] if problems else [(group[0], by_lq[key][0]) for key, group in by_hq.items()]
        attempts.append((pairs, sorted(problems)))
        if not problems:
            break
    return min(attempts, key=lambda attempt: len(attempt[1]))


def _usual_naming(hq: Sequence[Path], scale: int) -> _Naming:
    stems = {file.stem for file in hq}

    def naming(file: PurePath) -> _Key:
        folders, name = _key(file)
        return folders, name if name in stems else re.sub(rf"(_LR|[-_]?x{scale})$", "", name)

    return naming


def _by_template(template: str) -> _Naming:
    if template.count("{}") != 1:
        raise InputError(
            f"A template of LQ names has one {{}} for the HQ name, such as {{}}x2 or X2/{{}}x2, got {template!r}."
        )
    before, after = (re.escape(part) for part in template.strip("/").split("{}"))
    folder, slash, before = before.rpartition("/")
    above = rf"(?P<above>(?:[^/]+/)*?){folder}/" if slash else ""
    pattern = re.compile(rf"{above}(?P<folders>(?:[^/]+/)*){before}(?P<name>[^/]+?){after}(?:\.[^./]*)?")

    def naming(file: PurePath) -> _Key | None:
        match = pattern.fullmatch(file.as_posix())
        return (match.groupdict().get("above", "") + match["folders"], match["name"]) if match else None

    return naming


def _only_template(hq: Sequence[Path], lq: Sequence[Path]) -> str:
    """Returns the only template that pairs all files; empty if there are none or several."""
    if len(hq) != len(lq):
        return ""
    file = max(hq, key=lambda file: len(file.stem))  # the longest name, because few LQ names contain it
    name, parents = _without_hr(file.stem), file.parent.parts
    candidates = set()
    for other in lq:
        above = len(other.parent.parts) - len(parents)
        if above >= 0 and other.parent.parts[above:] == parents:
            folders = "".join(f"{part}/" for part in other.parent.parts[:above])
            for found in re.finditer(f"(?={re.escape(name)})", other.stem):
                start, end = found.start(), found.start() + len(name)
                candidates.add(f"{folders}{other.stem[:start]}{{}}{other.stem[end:]}")
    fitting = [template for template in candidates if template.count("{}") == 1 and _fits(hq, lq, template)]
    return fitting[0] if len(fitting) == 1 else ""


def _fits(hq: Sequence[Path], lq: Sequence[Path], template: str) -> bool:
    pairs, problems = _match(hq, lq, _by_template(template))
    return not problems and len(pairs) == len(lq)


def _key(file: PurePath) -> _Key:
    folders, slash, _ = file.as_posix().rpartition("/")
    return folders + slash, file.stem


def _without_hr(name: str) -> str:
    return name.removesuffix("_HR")


def _groups(keys: Mapping[Path, _Key], with_folders: bool) -> dict[_Key, list[Path]]:
    groups: dict[_Key, list[Path]] = {}
    for file, (folders, name) in keys.items():
        groups.setdefault((folders if with_folders else "", name), []).append(file)
    return groups
