"""Reports of an evaluation: JSON, CSV, and a self-contained HTML page."""

import csv
import html
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from swinir_jax.evaluation.protocol import Images, Measurement
from swinir_jax.files import make_folder, write_bytes
from swinir_jax.images import Picture, write_picture

PAGE = "index.html"
_ERROR_GAIN = 8  # factor of the error map over the mean absolute difference of the channels
_CROP = 256  # greatest side of the crops, in pixels
_LOWER_IS_BETTER = ("niqe", "distance")  # beginnings of metrics

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem; color: #222; background: #fff; }
table { border-collapse: collapse; margin: 1rem 0 2rem; }
td, th { padding: .25rem .8rem; text-align: right; border-bottom: 1px solid #ddd; font-variant-numeric: tabular-nums; }
td:first-child, th:first-child { text-align: left; }
.average td { font-weight: 600; } .published td { color: #666; }
.images { display: grid; grid-template-columns: repeat(auto-fit, minmax(260px, 1fr)); gap: 1rem; margin-bottom: 2rem; }
figure { margin: 0; } figcaption { color: #555; } img { width: 100%; image-rendering: pixelated; }
.slider { max-width: 900px; margin-bottom: 1rem; } .slider div { position: relative; } .slider img { display: block; }
.slider img + img { position: absolute; top: 0; clip-path: inset(0 0 0 var(--at)); } .slider input { width: 100%; }
.crops { display: flex; flex-wrap: wrap; gap: 1rem; margin-bottom: 1rem; } .crops img { object-fit: none; }
"""
_SHOWN_AT_100 = ("input", "bicubic", "result", "ground truth")
_SLIDE = "this.parentNode.style.setProperty('--at', this.value + '%')"


def as_dict(
    protocol: Mapping[str, Any], results: Sequence[Measurement], averages: Mapping[str, float]
) -> dict[str, Any]:
    """Returns the content of the `--json` file: protocol, scores and remarks of each image, and averages."""
    images = [
        {"name": r.name, **r.scores, "seconds": round(r.seconds, 4), **({"remarks": r.remarks} if r.remarks else {})}
        for r in results
    ]
    return {"protocol": dict(protocol), "images": images, "average": dict(averages)}


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Writes the result of `as_dict`, with null for infinite scores (of identical images) and undefined ones."""

    def finite(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: finite(entry) for key, entry in value.items()}
        if isinstance(value, list):
            return [finite(entry) for entry in value]
        return None if isinstance(value, float) and not np.isfinite(value) else value

    write_bytes(path, (json.dumps(finite(content), indent=2, allow_nan=False) + "\n").encode())


def write_csv(path: Path, results: Sequence[Measurement], averages: Mapping[str, float]) -> None:
    """Writes one row for each image and one for the averages; undefined scores are empty.

    If scores are left out of the averages, the last column names their metrics.
    """

    def cells(scores: Mapping[str, float]) -> list[float | str]:
        return ["" if np.isnan(scores[metric]) else scores[metric] for metric in averages]

    marked = any(r.remarks for r in results)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["name", *averages, *["left_out"] * marked])
    writer.writerows([r.name, *cells(r.scores), *[" ".join(r.remarks)] * marked] for r in results)
    writer.writerow(["average", *cells(averages), *[""] * marked])
    write_bytes(path, text.getvalue().encode(errors="surrogateescape"))


class HtmlReport:
    """HTML page on an evaluation: `add` writes the pictures, `finish` the page `PAGE`."""

    def __init__(self, folder: Path):
        """Creates the folder.

        Raises:
          InputError: if the folder cannot be created.
        """
        make_folder(folder)
        self._folder, self._sections = folder, list[str]()

    def add(self, name: str, images: Images) -> None:
        """Writes the input, result, ground truth and error map of one image, with a slider and crops at full size."""
        panels, files = _panels(images), dict[str, str]()
        for kind, pixels in panels.items():
            files[kind] = f"{len(self._sections):03}_{kind.replace(' ', '_')}.png"
            write_picture(self._folder / files[kind], Picture(pixels))
        figures = "".join(_figure(f'<img src="{file}" alt="">', kind) for kind, file in files.items())
        window = _detailed_window(images.restored)
        crops = "".join(_figure(_crop(file, window), kind) for kind, file in files.items() if kind in _SHOWN_AT_100)
        place = f"100 %, from column {window[1]} and row {window[0]} of the result"
        self._sections.append(
            f'<h2>{html.escape(name)}</h2>\n{_slider(files)}\n<p>{place}:</p><div class="crops">{crops}</div>\n'
            f'<div class="images">{figures}</div>'
        )

    def finish(
        self,
        title: str,
        results: Sequence[Measurement],
        averages: Mapping[str, float],
        published: Mapping[str, float],
        notes: Sequence[str] = (),
    ) -> None:
        """Writes the page.

        Args:
          title: protocol in one line.
          results: measurements of all images.
          averages: average of each score.
          published: the paper's scores; empty if there are none.
          notes: sentences below the table.
        """
        page = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title><style>{_STYLE}</style></head>
<body><p>{html.escape(title)}</p>
{_table(results, averages, published)}
{"".join(f"<p>{html.escape(note)}</p>" for note in notes)}
{"".join(self._sections)}
</body></html>
"""
        write_bytes(self._folder / PAGE, page.encode(errors="replace"))


def heading(metric: str) -> str:
    """Returns the metric with an arrow upwards if higher scores are better, and downwards if lower ones are."""
    return f"{metric} {'↓' if metric.startswith(_LOWER_IS_BETTER) else '↑'}"


def format_score(metric: str, value: float | None) -> str:
    """Formats decibels and NIQE with two decimals, SSIM and distances with four, None and NaN as a dash."""
    if value is None or np.isnan(value):
        return "-"
    return f"{value:.4f}" if metric.startswith(("ssim", "distance")) else f"{value:.2f}"


def format_row(metrics: Iterable[str], scores: Mapping[str, float]) -> dict[str, str]:
    """Formats a score for each metric, with a dash where there is none."""
    return {metric: format_score(metric, scores.get(metric)) for metric in metrics}


def format_scores(result: Measurement) -> dict[str, str]:
    """Formats the scores of one image; a star marks those that are left out of the averages."""
    marks = dict.fromkeys(result.remarks, "*")
    return {metric: format_score(metric, value) + marks.get(metric, "") for metric, value in result.scores.items()}


def _table(results: Sequence[Measurement], averages: Mapping[str, float], published: Mapping[str, float]) -> str:
    def row(name: str, cells: Mapping[str, str], style: str = "") -> str:
        row = "".join(f"<td>{cells[metric]}</td>" for metric in averages)
        return f'<tr class="{style}"><td>{html.escape(name)}</td>{row}</tr>'

    head = "".join(f"<th>{heading(metric).replace('_', '-').upper()}</th>" for metric in averages)
    rows = [row(r.name, format_scores(r)) for r in results]
    rows += [row("average", format_row(averages, averages), "average")]
    rows += [row("published", format_row(averages, published), "published")] if published else []
    return f"<table><tr><th>image</th>{head}</tr>{''.join(rows)}</table>"


def _figure(content: str, caption: str) -> str:
    return f"<figure>{content}<figcaption>{caption}</figcaption></figure>"


def _slider(files: Mapping[str, str]) -> str:
    """Returns two pictures on top of each other: the input to the left of a slider's place, the result to its right."""
    before = "bicubic" if "bicubic" in files else "input"
    pictures = f'<div><img src="{files[before]}" alt="{before}"><img src="{files["result"]}" alt="result"></div>'
    slider = f'<input type="range" value="50" step="0.1" aria-label="{before} or result" oninput="{_SLIDE}">'
    return f'<div class="slider" style="--at: 50%">{pictures}{slider}{before} (left), result (right)</div>'


def _crop(file: str, window: tuple[int, int, int, int]) -> str:
    top, left, height, width = window
    return (
        f'<img src="{file}" alt="" style="object-position: -{left}px -{top}px; width: {width}px; height: {height}px">'
    )


def _detailed_window(image: np.ndarray) -> tuple[int, int, int, int]:
    """Returns top, left, height and width of the window with the largest differences between neighbours."""
    gray = image.astype(np.float32) if image.ndim == 2 else image.mean(axis=-1, dtype=np.float32)
    detail = np.abs(np.diff(gray, axis=0, append=gray[-1:])) + np.abs(np.diff(gray, axis=1, append=gray[:, -1:]))
    height, width = (min(side, _CROP) for side in gray.shape)
    tops, lefts = ({*range(0, side - _CROP, _CROP // 2), max(0, side - _CROP)} for side in gray.shape)
    top, left = max(
        ((top, left) for top in sorted(tops) for left in sorted(lefts)),
        key=lambda place: detail[place[0] : place[0] + height, place[1] : place[1] + width].sum(),
    )
    return top, left, height, width


def _panels(images: Images) -> dict[str, np.ndarray]:
    height, width = images.restored.shape[:2]
    enlarged = np.asarray(Image.fromarray(images.lq).resize((width, height), Image.Resampling.NEAREST))
    panels = {"input": enlarged}
    if images.lq.shape != images.restored.shape:
        panels["bicubic"] = images.bicubic
    panels["result"] = images.restored
    if images.hq is not None:
        difference = np.abs(images.restored.astype(float) - images.hq)
        error = difference if difference.ndim == 2 else difference.mean(axis=-1)
        panels["ground truth"] = images.hq
        panels[f"error x{_ERROR_GAIN}"] = np.clip(error * _ERROR_GAIN, 0, 255).astype(np.uint8)
    return panels
