"""Networks known by name: the official ones and those bundled with the package."""

import dataclasses
import difflib
import filecmp
import json
import math
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from swinir_jax.checkpoints.folders import is_model, is_two_ended
from swinir_jax.config import SIZES, SwinIRConfig
from swinir_jax.errors import InputError, printable

DEFAULT_MODEL = "lightweight_x2"
OFFICIAL_LICENSE = "Apache-2.0"  # of both projects that publish them
SWINIR_RELEASE = "https://github.com/JingyunLiang/SwinIR/releases/download/v0.0"
SWIN2SR_RELEASE = "https://github.com/mv-lab/swin2sr/releases/download/v0.0.1"
RESEARCH_LICENSE = "research use, trained on BSDS500 (LICENSE-weights)"
FREE_LICENSE = "CC-BY-SA-4.0, trained on photographs with free licences (LICENSE-weights)"
_FREE = {"real_x2_free"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class OfficialModel:
    """One file of an original project's release.

    Attributes:
      name: name of the file without `.pth`.
      task: official name of the task.
      level: level of the task: `x4`, `noise 25`, `quality 40`.
      config: network configuration.
      parameters: number of parameters; 0 if unknown.
      release: address of the folder with the file.
    """

    name: str
    task: str
    level: str
    config: SwinIRConfig
    parameters: int = 0
    release: str = SWINIR_RELEASE

    @property
    def file_name(self) -> str:
        """Name of the file in the release."""
        return f"{self.name}.pth"

    @property
    def file_bytes(self) -> int:
        """Bytes of the file's tensors, float32 parameters, masks and coordinates, and int64 indices of the biases."""
        window, depths = self.config.window_size, self.config.depths
        windows = math.prod(math.ceil(side / window) for side in self.config.img_sides)
        masks = sum(depth // 2 for depth in depths) * windows * window**4
        coordinates = 2 * (2 * window - 1) ** 2 if self.config.family == "swin2sr" else 0
        return 4 * (self.parameters + masks + sum(depths) * coordinates) + 8 * sum(depths) * window**4


def _official() -> Iterator[OfficialModel]:
    def model(name: str, task: str, level: str, parameters: int, **arguments: Any) -> OfficialModel:
        return OfficialModel(name=name, task=task, level=level, parameters=parameters, config=SwinIRConfig(**arguments))

    for data, side in (("DIV2K", 48), ("DF2K", 64)):
        for s, parameters in {2: 11_752_487, 3: 11_937_127, 4: 11_900_199, 8: 12_047_911}.items():
            name = f"001_classicalSR_{data}_s{side}w8_SwinIR-M_x{s}"
            arguments = dict(SIZES["M"], upscale=s, img_size=side, upsampler="pixelshuffle")
            yield model(name, "classical_sr", f"x{s}", parameters, **arguments)
    for s, parameters in {2: 910_152, 3: 918_267, 4: 929_628}.items():
        name = f"002_lightweightSR_DIV2K_s64w8_SwinIR-S_x{s}"
        arguments = dict(SIZES["S"], upscale=s, upsampler="pixelshuffledirect")
        yield model(name, "lightweight_sr", f"x{s}", parameters, **arguments)
    for data, size, s, parameters in (
        ("DFO", "M", 2, 11_678_631),
        ("DFO", "M", 4, 11_715_559),
        ("DFOWMFC", "L", 4, 28_013_059),
    ):
        for loss in ("GAN", "PSNR"):
            name = f"003_realSR_BSRGAN_{data}_s64w8_SwinIR-{size}_x{s}_{loss}"
            arguments = dict(SIZES[size], upscale=s, upsampler="nearest+conv")
            yield model(name, "real_sr", f"x{s} {loss}", parameters, **arguments)
    for number, colour, task, channels, parameters in (
        ("004", "gray", "gray_dn", 1, 11_497_681),
        ("005", "color", "color_dn", 3, 11_504_163),
    ):
        for sigma in (15, 25, 50):
            name = f"{number}_{colour}DN_DFWB_s128w8_SwinIR-M_noise{sigma}"
            arguments = dict(SIZES["M"], in_chans=channels, img_size=128)
            yield model(name, task, f"noise {sigma}", parameters, **arguments)
    for stem, task, channels, parameters in (
        ("CAR", "jpeg_car", 1, 11_485_585),
        ("colorCAR", "color_jpeg_car", 3, 11_492_067),
    ):
        for quality in (10, 20, 30, 40):
            name = f"006_{stem}_DFWB_s126w7_SwinIR-M_jpeg{quality}"
            arguments = dict(SIZES["M"], in_chans=channels, img_size=126, window_size=7, img_range=255.0)
            yield model(name, task, f"quality {quality}", parameters, **arguments)


def _official_swin2sr() -> Iterator[OfficialModel]:
    for name, task, level, size, parameters, arguments in (
        ("ClassicalSR_X2_64", "classical_sr", "x2", "M", 12_091_571, dict(upscale=2, upsampler="pixelshuffle")),
        ("ClassicalSR_X4_64", "classical_sr", "x4", "M", 12_239_283, dict(upscale=4, upsampler="pixelshuffle")),
        ("Lightweight_X2_64", "lightweight_sr", "x2", "S", 1_005_348, dict(upscale=2, upsampler="pixelshuffledirect")),
        ("RealworldSR_X4_64_BSRGAN_PSNR", "real_sr", "x4 PSNR", "M", 12_054_643,
         dict(upscale=4, upsampler="nearest+conv")),
        ("CompressedSR_X4_48", "compressed_sr", "x4", "M", 12_244_598,
         dict(upscale=4, upsampler="pixelshuffle_aux", img_size=48)),
        ("Jpeg_dynamic", "jpeg_car", "quality 10 to 40", "M", 11_836_765,
         dict(in_chans=1, img_size=126, window_size=7, img_range=255.0)),
    ):  # fmt: skip
        yield OfficialModel(
            name=f"Swin2SR_{name}",
            task=task,
            level=level,
            config=SwinIRConfig(**SIZES[size], family="swin2sr", **arguments),
            parameters=parameters,
            release=SWIN2SR_RELEASE,
        )


OFFICIAL: Mapping[str, OfficialModel] = {model.name: model for model in (*_official(), *_official_swin2sr())}


def bundled_models() -> dict[str, Path]:
    """Returns the weight files and the models with two ends in the package by name."""
    folder = Path(str(resources.files("swinir_jax") / "pretrained"))
    files = {path.stem: path for path in folder.glob("*.safetensors")}
    return dict(sorted({**files, **{path.name: path for path in folder.iterdir() if is_two_ended(path)}}.items()))


def model_path(name: str) -> Path:
    """Returns the path of a bundled model, or the path that another name is."""
    return bundled_models().get(name, Path(name))


def bundled_name(name: str) -> str | None:
    """Returns the name of the bundled model that a name, or a file of the same content, stands for; None for others."""
    path, models = Path(name), bundled_models()
    if name in models and not path.is_file() and not is_model(path):
        return name
    return next((known for known, model in models.items() if path == model or _is_copy(path, model)), None)


def files_of(model: Path) -> list[Path]:
    """Returns the weight files of a bundled model: one, or one for each end."""
    return sorted(model.glob("*.safetensors")) if model.is_dir() else [model]


def _is_copy(path: Path, model: Path) -> bool:
    return path.is_file() and any(filecmp.cmp(path, file, shallow=False) for file in files_of(model))


def bundled_scores() -> dict[str, list[dict[str, Any]]]:
    """Returns the scores of the bundled models by name, as the evaluation wrote them, the main score first."""
    text = (resources.files("swinir_jax") / "pretrained" / "scores.json").read_text()
    return json.loads(text)


def license_of(name: str) -> str | None:
    """Returns the licence of a bundled or an official model; None for other names."""
    if name in bundled_models():
        return FREE_LICENSE if name in _FREE else RESEARCH_LICENSE
    return OFFICIAL_LICENSE if name in OFFICIAL else None


def weight_metadata(name: str) -> dict[str, str]:
    """Returns the name of weights and, if they are official by name or bundled, their licence.

    Args:
      name: as for `load_pretrained`.
    """
    bundled = bundled_name(name)
    known = bundled or printable(Path(name).name.removesuffix(".pth"))
    unknown_source = Path(name).exists() or "://" in name
    weights_license = None if unknown_source and not bundled else license_of(known)
    return {"name": known, **({"license": weights_license} if weights_license else {})}


def unknown_model(name: str) -> InputError:
    """Returns the error for a name that is neither a file nor a known model, with the nearest known names."""
    names = [*bundled_models(), *OFFICIAL]
    near = difflib.get_close_matches(name.removesuffix(".pth"), names, n=3, cutoff=0.4)
    hint = f"the nearest names are {', '.join(near)}" if near else "`swinir-jax models` lists the names"
    return InputError(f"{name}: no such file, folder or model; {hint}.")
