"""What the original implementation answers, and the generated weights it was asked with (see tests/data/README.md)."""

import atexit
import dataclasses
import functools
import gzip
import json
import os
import tarfile
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np

from swinir_jax import SwinIR
from swinir_jax.checkpoints.names import official_shapes, params_from_official
from swinir_jax.config import SwinIRConfig
from swinir_jax.models.discriminator import SPECTRAL

DATA = Path(__file__).parent / "data"
GOLDENS = Path(os.environ.get("SWINIR_JAX_GOLDENS", DATA))  # other cases of the same files can be put to the tests
FORWARD = sorted((GOLDENS / "forward").glob("*.npz"))
FAMILY = sorted((GOLDENS / "family").glob("*.npz"))  # SwinIR's relatives


@functools.cache
def checkpoints() -> Path:
    """Unpacks `checkpoints.tar.xz` until the process ends; most files hold the same weights, which xz stores once."""
    folder = tempfile.TemporaryDirectory(prefix="checkpoints-")
    atexit.register(folder.cleanup)
    with tarfile.open(DATA / "checkpoints.tar.xz") as archive:
        for member in archive:
            if file := archive.extractfile(member):
                Path(folder.name, Path(member.name).name).write_bytes(file.read())
    return Path(folder.name)


def standard_normal(key: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Returns the random numbers behind every generated tensor of this name."""
    return np.random.default_rng(zlib.crc32(key.encode()) + seed).standard_normal(shape).astype(np.float32)


def fill(key: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """The weight that every golden case uses for a tensor of this name."""
    z = standard_normal(key, shape, seed)
    if key.endswith("relative_position_bias_table"):
        return (0.5 * z).astype(np.float32)
    if key.endswith("absolute_pos_embed"):
        return (0.1 * z).astype(np.float32)
    if key.endswith(".bias"):
        return (0.05 * z).astype(np.float32)
    if len(shape) == 1:
        return (1 + 0.1 * z).astype(np.float32)
    return (z / np.sqrt(np.prod(shape[1:]))).astype(np.float32)


def generated_weights(shapes: dict[str, tuple[int, ...]], seed: int) -> dict[str, np.ndarray]:
    return {key: fill(key, tuple(shape), seed) for key, shape in shapes.items()}


def image(*shape: int, seed: int = 0) -> np.ndarray:
    """Returns noise from 0 to 1 in float32."""
    return np.random.default_rng(seed).random(shape, dtype=np.float32)


def params_of(config: SwinIRConfig, seed: int = 1) -> dict:
    """Returns generated parameters of a network, in our layout."""
    return params_from_official(generated_weights(official_shapes(config), seed), config)


def generated_discriminator(shapes: dict[str, tuple[int, ...]], seed: int) -> dict[str, dict]:
    """Parameters and singular vectors of KAIR's discriminator in our layout, by the shapes of its state dict."""
    params, spectral = {}, {}
    for name, shape in shapes.items():
        layer, _, part = name.partition(".")
        if part == "bias":
            params.setdefault(layer, {})["bias"] = fill(name, tuple(shape), seed)
        elif part in ("weight", "weight_orig"):
            params.setdefault(layer, {})["kernel"] = fill(name, tuple(shape), seed).transpose(2, 3, 1, 0)
        else:
            vector = standard_normal(name, tuple(shape), seed)
            vector /= np.linalg.norm(vector)
            if part == "weight_v":  # from [in, k, k] to [k, k, in]
                _, channels, k, _ = shapes[f"{layer}.weight_orig"]
                vector = vector.reshape(channels, k, k).transpose(1, 2, 0).ravel()
            spectral.setdefault(layer, {})[part[-1]] = vector
    return {"params": params, SPECTRAL: spectral}


def golden_case(path: Path) -> tuple[SwinIRConfig, dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Configuration, official tensors, input and output of one forward case."""
    case = np.load(path)
    seed = int(case["seed"])
    weights = generated_weights(json.loads(str(case["parameters"])), seed)
    lq = np.random.default_rng(1000 + seed).random(case["input_shape"], dtype=np.float32)
    arguments = json.loads(str(case["config"]))
    if "sf" in arguments:  # DiffBIR's name of the reconstruction's enlargement
        unshuffle = arguments.pop("unshuffle_scale", None) if arguments.pop("unshuffle", False) else None
        arguments.pop("unshuffle_scale", None)
        arguments["unshuffle"] = unshuffle or 1
        arguments["upscale"] = arguments.pop("sf") // arguments["unshuffle"]
    if any("logit_scale" in name for name in weights):
        arguments["family"] = "swin2sr"
    return SwinIRConfig.from_dict(arguments), weights, lq, case["output"]


def further_answers(path: Path) -> list[np.ndarray]:
    """What a network with several answers gives beside the first, in the original's order."""
    case = np.load(path)
    return [case[name] for name in sorted(case.files) if name.startswith("output_")]


@functools.cache  # a network of many tests is compiled once
def compiled(model: SwinIR) -> Callable:
    """Returns `jit(model.apply)`."""
    return jax.jit(model.apply)


def official_checkpoints() -> dict:
    return json.loads(gzip.decompress((DATA / "official_checkpoints.json.gz").read_bytes()))


def relative_error(y: np.ndarray, reference: np.ndarray) -> float:
    """`||y - ref|| / ||ref||`."""
    return float(np.linalg.norm(np.asarray(y, np.float64) - reference) / np.linalg.norm(reference))


# Two RSTBs of different depths and heads, with shifted windows: all that is special, small enough to compile at once.
TINY = SwinIRConfig(
    upscale=2, upsampler="pixelshuffledirect", embed_dim=12, depths=(2, 1), num_heads=(2, 3), img_size=16, window_size=8
)
TINY_SWIN2SR = dataclasses.replace(TINY, family="swin2sr")
TINY_UNSHUFFLED = dataclasses.replace(TINY, upscale=1, upsampler="nearest+conv", unshuffle=8)  # as in DiffBIR
