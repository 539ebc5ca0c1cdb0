"""Reports of an evaluation: JSON, CSV, and a self-contained HTML page."""

import csv
import html
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from swinir_jax.evaluation.protocol import Images, Measurement
from swinir_jax.files import make_folder, write_bytes
from swinir_jax.images import Picture, write_picture

_ERROR_GAIN = 8  # factor of the error map over the mean absolute difference of the channels

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem; color: #222; background: #fff; }
table { border-collapse: collapse; margin: 1rem 0 2rem; }
td, th { padding: .25rem .8rem; text-align: right; border-bottom: 1px solid #ddd; font-variant-numeric: tabular-nums; }
td:first-child, th:first-child { text-align: left; }
.average td { font-weight: 600; } .published td { color: #666; }
.images { display: grid; grid-template-columns: repeat(auto-fit, minmax(260px, 1fr)); gap: 1rem; margin-bottom: 2rem; }
figure { margin: 0; } figcaption { color: #555; } img { width: 100%; image-rendering: pixelated; }
"""


def as_dict(
    protocol: Mapping[str, Any], results: Sequence[Measurement], averages: Mapping[str, float]
) -> dict[str, Any]:
    """Returns the content of the `--json` file: protocol, scores of each image, and averages."""
    images = [{"name": r.name, **r.scores, "seconds": round(r.seconds, 4)} for r in results]
    return {"protocol": dict(protocol), "images": images, "average": dict(averages)}


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Writes the result of `as_dict`, with null for infinite scores (of identical images)."""

    def finite(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: finite(entry) for key, entry in value.items()}
        if isinstance(value, list):
            return [finite(entry) for entry in value]
        return None if isinstance(value, float) and not np.isfinite(value) else value

    write_bytes(path, (json.dumps(finite(content), indent=2, allow_nan=False) + "\n").encode())


def write_csv(path: Path, results: Sequence[Measurement], averages: Mapping[str, float]) -> None:
    """Writes one row for each image and one for the averages."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["name", *averages])
    writer.writerows([r.name, *(r.scores[metric] for metric in averages)] for r in results)
    writer.writerow(["average", *averages.values()])
    write_bytes(path, text.getvalue().encode(errors="surrogateescape"))


class Report:
    """HTML report: `add` writes the pictures, `finish` the page `index.html`."""

    def __init__(self, folder: Path):
        """Creates the folder.

        Raises:
          InputError: if the folder cannot be created.
        """
        make_folder(folder)
        self._folder, self._sections = folder, list[str]()

    def add(self, name: str, images: Images) -> None:
        """Writes the input, result, ground truth and error map of one image."""
        figures = []
        for kind, pixels in _panels(images).items():
            file = f"{len(self._sections):03}_{kind.replace(' ', '_')}.png"
            write_picture(self._folder / file, Picture(pixels))
            figures.append(f'<figure><img src="{file}" alt=""><figcaption>{kind}</figcaption></figure>')
        self._sections.append(f'<h2>{html.escape(name)}</h2>\n<div class="images">{"".join(figures)}</div>')

    def finish(
        self, title: str, results: Sequence[Measurement], averages: Mapping[str, float], published: Mapping[str, float]
    ) -> None:
        """Writes the page.

        Args:
          title: protocol in one line.
          results: measurements of all images.
          averages: average of each score.
          published: the paper's scores; empty if there are none.
        """
        page = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title><style>{_STYLE}</style></head>
<body><p>{html.escape(title)}</p>
{_table(results, averages, published)}
{"".join(self._sections)}
</body></html>
"""
        write_bytes(self._folder / "index.html", page.encode(errors="replace"))


def format_score(metric: str, value: float | None) -> str:
    """Formats decibels with two decimals, SSIM with four, and None as a dash."""
    if value is None:
        return "-"
    return f"{value:.4f}" if metric.startswith("ssim") else f"{value:.2f}"


def _table(results: Sequence[Measurement], averages: Mapping[str, float], published: Mapping[str, float]) -> str:
    def row(name: str, scores: Mapping[str, float], style: str = "") -> str:
        cells = "".join(f"<td>{format_score(metric, scores.get(metric))}</td>" for metric in averages)
        return f'<tr class="{style}"><td>{html.escape(name)}</td>{cells}</tr>'

    head = "".join(f"<th>{metric.replace('_', '-').upper()}</th>" for metric in averages)
    rows = [row(r.name, r.scores) for r in results] + [row("average", averages, "average")]
    rows += [row("published", published, "published")] if published else []
    return f"<table><tr><th>image</th>{head}</tr>{''.join(rows)}</table>"


def _panels(images: Images) -> dict[str, np.ndarray]:
    height, width = images.restored.shape[:2]
    enlarged = np.asarray(Image.fromarray(images.lq).resize((width, height), Image.Resampling.NEAREST))
    panels = {"input": enlarged, "result": images.restored}
    if images.hq is not None:
        difference = np.abs(images.restored.astype(float) - images.hq)
        error = difference if difference.ndim == 2 else difference.mean(axis=-1)
        panels["ground truth"] = images.hq
        panels[f"error x{_ERROR_GAIN}"] = np.clip(error * _ERROR_GAIN, 0, 255).astype(np.uint8)
    return panels
