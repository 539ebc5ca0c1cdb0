"""Networks known by name: the official ones and those bundled with the package."""

import dataclasses
import difflib
import json
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from swinir_jax.checkpoints.ends import is_two_ended
from swinir_jax.config import SIZES, SwinIRConfig
from swinir_jax.errors import InputError

DEFAULT_MODEL = "lightweight_x2"
OFFICIAL_LICENSE = "Apache-2.0"
BUNDLED_LICENSE = "research use, as the photographs of BSDS500 that the weights were trained on"


@dataclasses.dataclass(frozen=True, kw_only=True)
class OfficialModel:
    """One file of the original project's release.

    Attributes:
      name: name of the file without `.pth`.
      task: official name of the task.
      level: level of the task: `x4`, `noise 25`, `quality 40`.
      config: network configuration.
    """

    name: str
    task: str
    level: str
    config: SwinIRConfig

    @property
    def file_name(self) -> str:
        """Name of the file in the release."""
        return f"{self.name}.pth"


def _official() -> Iterator[OfficialModel]:
    def model(name: str, task: str, level: str, **arguments: Any) -> OfficialModel:
        return OfficialModel(name=name, task=task, level=level, config=SwinIRConfig(**arguments))

    for data, side in (("DIV2K", 48), ("DF2K", 64)):
        for s in (2, 3, 4, 8):
            arguments = dict(SIZES["M"], upscale=s, img_size=side, upsampler="pixelshuffle")
            yield model(f"001_classicalSR_{data}_s{side}w8_SwinIR-M_x{s}", "classical_sr", f"x{s}", **arguments)
    for s in (2, 3, 4):
        name = f"002_lightweightSR_DIV2K_s64w8_SwinIR-S_x{s}"
        yield model(name, "lightweight_sr", f"x{s}", **SIZES["S"], upscale=s, upsampler="pixelshuffledirect")
    for data, size, s in (("DFO", "M", 2), ("DFO", "M", 4), ("DFOWMFC", "L", 4)):
        for loss in ("GAN", "PSNR"):
            name = f"003_realSR_BSRGAN_{data}_s64w8_SwinIR-{size}_x{s}_{loss}"
            arguments = dict(SIZES[size], upscale=s, upsampler="nearest+conv")
            yield model(name, "real_sr", f"x{s} {loss}", **arguments)
    for number, colour, task, channels in (("004", "gray", "gray_dn", 1), ("005", "color", "color_dn", 3)):
        for sigma in (15, 25, 50):
            name = f"{number}_{colour}DN_DFWB_s128w8_SwinIR-M_noise{sigma}"
            yield model(name, task, f"noise {sigma}", **SIZES["M"], in_chans=channels, img_size=128)
    for stem, task, channels in (("CAR", "jpeg_car", 1), ("colorCAR", "color_jpeg_car", 3)):
        for quality in (10, 20, 30, 40):
            name = f"006_{stem}_DFWB_s126w7_SwinIR-M_jpeg{quality}"
            arguments = dict(SIZES["M"], in_chans=channels, img_size=126, window_size=7, img_range=255.0)
            yield model(name, task, f"quality {quality}", **arguments)


OFFICIAL: Mapping[str, OfficialModel] = {model.name: model for model in _official()}


def bundled_models() -> dict[str, Path]:
    """Returns the weight files and the models with two ends in the package by name."""
    folder = Path(str(resources.files("swinir_jax") / "pretrained"))
    files = {path.stem: path for path in folder.glob("*.safetensors")}
    return dict(sorted({**files, **{path.name: path for path in folder.iterdir() if is_two_ended(path)}}.items()))


def bundled_scores() -> dict[str, list[dict[str, Any]]]:
    """Returns the scores of the bundled models by name, as the evaluation wrote them, the main score first."""
    text = (resources.files("swinir_jax") / "pretrained" / "scores.json").read_text()
    return json.loads(text)


def weight_metadata(name: str) -> dict[str, str]:
    """Returns the name of weights and, if they are known by name, their licence.

    Args:
      name: as for `load_pretrained`.
    """
    metadata = {"name": Path(name).name.removesuffix(".pth")}
    if not Path(name).exists():
        if name in bundled_models():
            metadata["license"] = BUNDLED_LICENSE
        elif metadata["name"] in OFFICIAL:
            metadata["license"] = OFFICIAL_LICENSE
    return metadata


def unknown_model(name: str) -> InputError:
    """Returns the error for a name that is neither a file nor a known model, with the nearest known names."""
    names = [*bundled_models(), *OFFICIAL]
    near = difflib.get_close_matches(name.removesuffix(".pth"), names, n=3, cutoff=0.4)
    hint = f"the nearest names are {', '.join(near)}" if near else "`swinir-jax models` lists the names"
    return InputError(f"{name}: no such file, folder or model; {hint}.")
