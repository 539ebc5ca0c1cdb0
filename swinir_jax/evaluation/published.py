"""Scores that the paper reports (arXiv 2108.10257, tables 2 to 6), to print beside measured ones."""

from collections.abc import Mapping
from pathlib import Path

from swinir_jax.checkpoints.zoo import OFFICIAL, bundled_models

Scores = Mapping[str, float]


def _y(psnr: float, ssim: float) -> Scores:
    return {"psnr_y": psnr, "ssim_y": ssim}


def _jpeg(psnr: float, ssim: float, psnr_b: float) -> Scores:
    return {"psnr": psnr, "ssim": ssim, "psnr_b": psnr_b}


# (network, set, level) -> scores; super-resolution is measured on Y.
_PUBLISHED: Mapping[tuple[str, str, int], Scores] = {
    ("bicubic", "Set5", 2): _y(33.66, 0.9299),
    ("bicubic", "Set5", 3): _y(30.39, 0.8682),
    ("bicubic", "Set5", 4): _y(28.42, 0.8104),
    ("lightweight_sr", "Set5", 2): _y(38.14, 0.9611),
    ("lightweight_sr", "Set5", 3): _y(34.62, 0.9289),
    ("lightweight_sr", "Set5", 4): _y(32.44, 0.8976),
    ("classical_sr DIV2K", "Set5", 2): _y(38.35, 0.9620),
    ("classical_sr DIV2K", "Set5", 3): _y(34.89, 0.9312),
    ("classical_sr DIV2K", "Set5", 4): _y(32.72, 0.9021),
    ("classical_sr DF2K", "Set5", 2): _y(38.42, 0.9623),
    ("classical_sr DF2K", "Set5", 3): _y(34.97, 0.9318),
    ("classical_sr DF2K", "Set5", 4): _y(32.92, 0.9044),
    ("gray_dn", "Set12", 15): {"psnr": 33.36},
    ("gray_dn", "Set12", 25): {"psnr": 31.01},
    ("gray_dn", "Set12", 50): {"psnr": 27.91},
    ("color_dn", "McMaster", 15): {"psnr": 35.61},
    ("color_dn", "McMaster", 25): {"psnr": 33.20},
    ("color_dn", "McMaster", 50): {"psnr": 30.22},
    ("jpeg_car", "classic5", 10): _jpeg(30.27, 0.8249, 29.95),
    ("jpeg_car", "classic5", 20): _jpeg(32.52, 0.8748, 31.99),
    ("jpeg_car", "classic5", 30): _jpeg(33.73, 0.8961, 33.03),
    ("jpeg_car", "classic5", 40): _jpeg(34.52, 0.9082, 33.66),
}

SETS = tuple(dict.fromkeys(name for _, name, _ in _PUBLISHED))


def published(task: str, model: str, path: str, level: int) -> Scores:
    """What the paper reports for this network on this set.

    Args:
      task: by its official name.
      model: "bicubic", or the name of a bundled model (which stands beside the paper's network of that size) or of an
        official one, also as a file or a folder of that name.
      path: of the ground truth; a part of it names the set.
      level: scale, noise or quality.

    Returns:
      Scores by metric; empty where the model or the set is unknown, or the paper has none.
    """
    parts = {part.lower() for part in Path(path).parts}
    name = Path(model).name.removesuffix(".pth")
    network = task
    if model == "bicubic":
        network = model
    elif name not in OFFICIAL and name not in bundled_models():
        return {}
    elif task == "classical_sr":
        network = f"{task} {'DF2K' if 'DF2K' in name else 'DIV2K'}"
    found = [_PUBLISHED.get((network, known, level), {}) for known in SETS if known.lower() in parts]
    return found[0] if found else {}
