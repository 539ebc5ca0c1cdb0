"""Blind degradation: photographs blurred, resized, made noisy and compressed at random."""

import typing
from collections.abc import Mapping

import numpy as np

from swinir_jax.data.colours import as_rgb
from swinir_jax.errors import InputError, missing_package

if typing.TYPE_CHECKING:
    from swinir_jax.data.blind.chains import Chain


ChainKind = typing.Literal["bsrgan", "bsrgan_plus", "real_esrgan", "photo", "photo_strong"]
"""Name of a chain without the scale."""

CHAIN_KINDS: Mapping[ChainKind, str] = {
    "bsrgan": "BSRGAN's chain",
    "bsrgan_plus": "KAIR's extension of BSRGAN's chain",
    "real_esrgan": "Real-ESRGAN's chain",
    "photo": "the mild chain of photographs from phones and the web",
    "photo_strong": "the strong chain of photographs that are old, dark or often passed on",
}
DEFAULT_CHAIN: ChainKind = "bsrgan"


def blind_chain(name: str) -> "Chain":
    """Returns a chain by its name in `swinir_jax.data.blind.chains.CHAINS`.

    Raises:
      InputError: if no chain has this name, or OpenCV is not installed.
    """
    try:
        from swinir_jax.data.blind.chains import CHAINS
    except ModuleNotFoundError as error:
        raise missing_package("Blind degradation needs OpenCV", "train") from error
    if name not in CHAINS:
        raise InputError(f"No degradation chain is called {name!r}; there are {', '.join(CHAINS)}.")
    return CHAINS[name]


def cut_to_scale(photograph: np.ndarray, scale: int, name: str) -> np.ndarray:
    """Returns a photograph as a chain takes one: RGB, with sides that are multiples of the scale.

    Args:
      photograph: uint8 `[h, w]` or `[h, w, 3]`; rows and columns beyond the last multiple are cut off.
      scale: HQ / LQ side ratio.
      name: name of the photograph for messages.

    Raises:
      InputError: if the photograph is smaller than one pixel of LQ.
    """
    h, w = (side // scale * scale for side in photograph.shape[:2])
    if min(h, w) == 0:
        raise InputError(f"{name}: smaller than {scale}x{scale} pixels, one pixel of LQ.")
    return np.ascontiguousarray(as_rgb(photograph)[:h, :w])
