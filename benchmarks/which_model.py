"""Draws the same crops through the networks of each purpose, for docs/which_model.md.

    python benchmarks/which_model.py

The photograph is docs/astronaut.png, shrunk and damaged in several ways. Each purpose restores it as
`swinir-jax restore --for PURPOSE --scale SCALE` does. The page's table of choices is written, too.
"""

import argparse
import functools
from collections.abc import Sequence

import numpy as np
from networks import PHOTO
from PIL import Image
from sheets import draw_sheet
from tables import ROOT, markdown, replace_table

from swinir_jax import choose_models, load_restorer
from swinir_jax.checkpoints.purposes import PURPOSES, SCALES, Choice
from swinir_jax.data.degradations import gaussian_noise, imresize, jpeg, to_uint8

PAGE = ROOT / "docs" / "which_model.md"
FACE = (72, 8, 168, 104)  # left, top, right, bottom
SIDE = 144  # pixels of a panel
LABEL = 16  # pixels of the line above a panel

Panel = tuple[str, np.ndarray]


def noisy(image: np.ndarray, sigma: float) -> np.ndarray:
    """Adds Gaussian noise to a uint8 image."""
    return to_uint8(255 * gaussian_noise(image / 255, sigma, np.random.default_rng(0)))


# What happened to the photograph before it is restored.
DAMAGES = {
    "clean": lambda image: image,
    "JPEG, quality 30": lambda image: jpeg(image, 30),
    "noise, sigma 25": lambda image: noisy(image, 25),
    "noise 8, JPEG 60": lambda image: jpeg(noisy(image, 8), 60),
}


def fast_choices(scale: int) -> dict[str, Choice]:
    """Returns the choices that fetch nothing, one for each row of networks, by the purposes that take them."""
    choices: dict[tuple[str, ...], tuple[list[str], Choice]] = {}
    for purpose in PURPOSES:
        choice = choose_models(purpose, scale)
        if all(step.place == "bundled" for step in choice.passes):
            names, _ = choices.setdefault(tuple(step.model for step in choice.passes), ([], choice))
            names.append(purpose)
    return {", ".join(names): choice for names, choice in choices.values()}


@functools.cache
def restorer(choice: Choice):
    """Returns the restorer of a choice, which keeps its programs."""
    return load_restorer(choice)


def cropped(image: np.ndarray, side: int) -> Image.Image:
    """Enlarges an image of the whole photograph to a side, and cuts out the face as a panel."""
    whole = Image.fromarray(image)
    if whole.width != side:
        whole = whole.resize((side, side), Image.Resampling.BICUBIC)
    return whole.crop(FACE).resize((SIDE, SIDE), Image.Resampling.LANCZOS)


def draw(name: str, rows: Sequence[Sequence[Panel]], side: int) -> None:
    """Writes rows of labelled panels to docs/NAME."""
    panels = [[(label, cropped(image, side)) for label, image in row] for row in rows]
    draw_sheet(panels, LABEL).save(ROOT / "docs" / name, quality=85, optimize=True)


def damages(truth: np.ndarray, scale: int) -> list[list[Panel]]:
    """Restores each damaged photograph, shrunk by a scale, to its size by each purpose."""
    rows = []
    for damage, apply in DAMAGES.items():
        given = apply(imresize(truth, 1 / scale))
        answers = [(f"--for {names}", restorer(choice)(given)) for names, choice in fast_choices(scale).items()]
        rows.append([(damage, given), *answers, ("truth", truth)])
    return rows


def scales(truth: np.ndarray) -> list[list[Panel]]:
    """Enlarges a clean photograph by each scale back to its size."""
    rows: list[list[Panel]] = [[], []]
    for scale in SCALES[1:]:
        side = truth.shape[0] // scale * scale
        given = imresize(truth, size=(side // scale, side // scale))
        rows[0].append((f"shrunk by {scale}", given))
        rows[1].append((f"--for clean --scale {scale}", restorer(choose_models("clean", scale))(given)))
    return rows


def table() -> str:
    """Formats the networks for each purpose, scale and quality."""

    def cell(choice: Choice) -> str:
        steps = [f"`{step.model}`" for step in choice.passes] + ["bicubic"] * choice.is_resized
        return ", then ".join(steps)

    rows = [
        [purpose, str(scale), *(cell(choose_models(purpose, scale, quality=quality)) for quality in ("fast", "best"))]
        for purpose in PURPOSES
        for scale in SCALES
    ]
    return markdown(["`--for`", "`--scale`", "networks", "with `--best`"], rows)


def main() -> None:
    """Writes the pictures and the table of the page."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()  # refuses options
    truth = np.asarray(Image.open(PHOTO).convert("RGB"))
    draw("which_model_x1.jpg", damages(truth, 1), truth.shape[0])
    draw("which_model_x2.jpg", damages(truth, 2), truth.shape[0])
    draw("which_scale.jpg", scales(truth), truth.shape[0])
    replace_table(PAGE, "table of choices", table())


if __name__ == "__main__":
    main()
