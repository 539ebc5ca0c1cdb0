"""Scores from SwinIR's paper (arXiv 2108.10257, tables 2 to 6), to print beside measured scores."""

from collections.abc import Mapping
from pathlib import Path

from swinir_jax.checkpoints.zoo import OFFICIAL, SWINIR_RELEASE, bundled_models, bundled_name
from swinir_jax.tasks import TASKS

Scores = Mapping[str, float]


def _y(psnr: float, ssim: float) -> Scores:
    return {"psnr_y": psnr, "ssim_y": ssim}


def _jpeg(psnr: float, ssim: float, psnr_b: float) -> Scores:
    return {"psnr": psnr, "ssim": ssim, "psnr_b": psnr_b}


# Scores by (network, set, level).
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
    """Looks up the paper's scores of a network on a benchmark set.

    Args:
      task: official name of the task.
      model: "bicubic", or the name, file or folder of an official or bundled model. An official model has scores of its
        own task alone. A bundled model is compared with the paper's network for `lightweight_sr`, denoising or JPEG.
      path: path of the ground truth, with the name of the set as one part.
      level: scale, noise sigma or JPEG quality.

    Returns:
      Scores by metric; empty if the model or the set is unknown, or the paper has no scores of them.
    """
    parts = {part.lower() for part in Path(path).parts}
    name = bundled_name(model) or Path(model).name.removesuffix(".pth")
    network = task
    if model == "bicubic" and TASKS[task].training == "bicubic":
        network = model
    elif name in OFFICIAL and (OFFICIAL[name].release, OFFICIAL[name].task) == (SWINIR_RELEASE, task):
        if task == "classical_sr":
            network = f"{task} {'DF2K' if 'DF2K' in name else 'DIV2K'}"
    elif name not in bundled_models():
        return {}
    sets = [name for name in SETS if name.lower() in parts]
    return _PUBLISHED.get((network, sets[0], level), {}) if sets else {}
