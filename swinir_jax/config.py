"""Architecture of a SwinIR or of a relative, as a frozen and hashable value."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

from swinir_jax.errors import InputError

FAMILIES = ("swinir", "swin2sr")
_SHUFFLED = (1, 2, 3, 4, 8, 16)
# Possible enlargements of each reconstruction; None for any.
UPSCALES: Mapping[str, tuple[int, ...] | None] = {
    "": (1,),
    "pixelshuffle": _SHUFFLED,
    "pixelshuffledirect": None,
    "nearest+conv": (2, 4, 8),
    "pixelshuffle_aux": _SHUFFLED,
    "pixelshuffle_hf": _SHUFFLED,
}
RESI_CONNECTIONS = ("1conv", "3conv")

# Sizes from the paper, as arguments of SwinIRConfig.
SIZES: Mapping[str, Mapping[str, Any]] = {
    "S": dict(embed_dim=60, depths=(6,) * 4, num_heads=(6,) * 4),  # lightweight SR
    "M": dict(embed_dim=180, depths=(6,) * 6, num_heads=(6,) * 6),  # all other tasks
    "L": dict(embed_dim=240, depths=(6,) * 9, num_heads=(8,) * 9, resi_connection="3conv"),  # real-world SR
}


def _is_whole(value: Any) -> bool:
    return type(value) is int  # a bool is not a number here


def _is_finite(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


# What a value must be, by the annotation of the field.
_TYPES: Mapping[str, Callable[[Any], bool]] = {
    str(int): _is_whole,
    str(float): _is_finite,
    str(bool): lambda value: type(value) is bool,
    str(str): lambda value: type(value) is str,
    str(float | None): lambda value: value is None or _is_finite(value),
    str(int | tuple[int, int]): lambda value: _is_whole(value) or (_are_whole(value) and len(value) == 2),
    str(tuple[int, ...]): lambda value: _are_whole(value),
}


def _are_whole(values: Any) -> bool:
    return isinstance(values, tuple) and all(map(_is_whole, values))


def _plain(value: Any) -> Any:
    """Converts values of NumPy and JAX to Python's, and lists to tuples."""
    if isinstance(value, list | tuple):
        return tuple(map(_plain, value))
    return _plain(value.tolist()) if hasattr(value, "tolist") else value


@dataclasses.dataclass(frozen=True, kw_only=True)
class SwinIRConfig:
    """Architecture of a SwinIR network, with the argument names of the official `SwinIR` class.

    `family` and `unshuffle` describe relatives. The defaults are the paper's middle size. NumPy's numbers become
    Python's, lists and arrays become tuples, and `img_size=(64, 64)` becomes 64.

    Attributes:
      upscale: HQ / LQ side ratio; 1 for denoising and JPEG artefact removal.
      in_chans: channels of the images, 1 for gray and 3 for RGB.
      img_size: side of a training patch in pixels of the features, or (height, width); fixes the sizes of `ape`, and
        windows are shifted only if both sides exceed `window_size`.
      window_size: side of the attention windows, in pixels.
      img_range: scale of the network's values; the network sees `(lq - mean) * img_range`.
      upsampler: reconstruction: pixelshuffle, pixelshuffledirect, nearest+conv, or empty for upscale 1; Swin2SR's
        pixelshuffle_aux and pixelshuffle_hf.
      resi_connection: convolutions at the end of each RSTB and of the body: 1conv or 3conv.
      embed_dim: channels of the features.
      depths: Swin Transformer layers in each residual block (RSTB).
      num_heads: attention heads in each RSTB; each number divides `embed_dim`.
      mlp_ratio: width of the MLPs' hidden layers / `embed_dim`.
      qkv_bias: whether the projections to queries, keys and values have biases.
      qk_scale: factor of the queries; None for 1 / sqrt(channels of a head).
      ape: whether an absolute position embedding is added, which limits inputs to the padded size `img_size`.
      patch_norm: whether a LayerNorm precedes the first RSTB.
      drop_rate: dropout rate of features, in training.
      attn_drop_rate: dropout rate of attention weights, in training.
      drop_path_rate: stochastic depth rate of the last layer, in training; the rates rise linearly from 0 at the first.
      use_checkpoint: whether the backward pass computes layers anew, to save memory.
      family: swinir, or swin2sr: layers of Swin Transformer V2 (Swin2SR, Conde et al. 2022, arXiv 2209.11345).
      unshuffle: factor by which a pixel unshuffle shrinks the image before the first convolution; 8 in the SwinIR of
        DiffBIR (Lin et al. 2023, arXiv 2308.15070) and DifFace, else 1.

    Raises:
      InputError: if the values contradict each other; the message names them.
    """

    upscale: int = 1
    in_chans: int = 3
    img_size: int | tuple[int, int] = 64
    window_size: int = 8
    img_range: float = 1.0
    upsampler: str = ""
    resi_connection: str = "1conv"
    embed_dim: int = 180
    depths: tuple[int, ...] = (6,) * 6
    num_heads: tuple[int, ...] = (6,) * 6
    mlp_ratio: float = 2.0
    qkv_bias: bool = True
    qk_scale: float | None = None
    ape: bool = False
    patch_norm: bool = True
    drop_rate: float = 0.0
    attn_drop_rate: float = 0.0
    drop_path_rate: float = 0.1
    use_checkpoint: bool = False
    family: str = "swinir"
    unshuffle: int = 1

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            object.__setattr__(self, field.name, _plain(getattr(self, field.name)))
        self._check_types()
        if self.img_sides[0] == self.img_sides[1]:
            object.__setattr__(self, "img_size", self.img_sides[0])
        self._check_choices()
        self._check_sizes()
        self._check_upscale()
        for name in ("drop_rate", "attn_drop_rate", "drop_path_rate"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"{name} must lie in [0, 1), got {getattr(self, name)}.")

    def _check_types(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if not _TYPES[str(field.type)](value):
                kind = getattr(field.type, "__name__", field.type)
                raise InputError(f"{field.name} must be of type {kind} and finite, got {value!r}.")

    def _check_choices(self) -> None:
        if self.family not in FAMILIES:
            raise InputError(f"family must be one of {FAMILIES}, got {self.family!r}.")
        if self.family == "swin2sr" and self.qk_scale is not None:
            raise InputError(f"A swin2sr learns the scale of its scores; qk_scale={self.qk_scale} has no effect.")
        if self.upsampler not in UPSCALES:
            raise InputError(f"upsampler must be one of {list(UPSCALES)}, got {self.upsampler!r}.")
        if self.resi_connection not in RESI_CONNECTIONS:
            raise InputError(f"resi_connection must be one of {RESI_CONNECTIONS}, got {self.resi_connection!r}.")

    def _check_sizes(self) -> None:
        for name in ("in_chans", "img_sides", "window_size", "embed_dim", "mlp_hidden_dim", "unshuffle"):
            value = getattr(self, name)
            if (min(value) if isinstance(value, tuple) else value) < 1:
                raise InputError(f"{name.replace('sides', 'size')} must be at least 1, got {value}.")
        if not self.depths or len(self.depths) != len(self.num_heads):
            raise InputError(
                f"One head count per RSTB is needed, got depths={self.depths} and num_heads={self.num_heads}."
            )
        if min(*self.depths, *self.num_heads) < 1:
            raise InputError(f"depths and num_heads must be at least 1, got {self.depths} and {self.num_heads}.")
        for heads in self.num_heads:
            if self.embed_dim % heads:
                raise InputError(f"embed_dim={self.embed_dim} is not a multiple of num_heads={heads}.")
        if self.resi_connection == "3conv" and self.embed_dim < 4:  # the middle convolution has a quarter
            raise InputError(f"resi_connection=3conv needs an embed_dim of at least 4, got {self.embed_dim}.")
        if self.window_size % self.attention_window:
            raise InputError(
                f"img_size={self.img_size} is smaller than window_size={self.window_size} and does not divide it."
            )
        if not self.img_range > 0:
            raise InputError(f"img_range must be positive, got {self.img_range}.")
        if self.ape and any(side % self.window_size for side in self.img_sides):  # images are padded to whole windows
            raise InputError(f"ape=True: img_size={self.img_size} is not a multiple of window_size={self.window_size}.")

    def _check_upscale(self) -> None:
        allowed = UPSCALES[self.upsampler]
        if self.upscale < 1 or (allowed is not None and self.enlargement not in allowed):
            factors = "any factor from 1 on" if allowed is None else " or ".join(map(str, allowed))
            got = f"upscale={self.upscale}" + f" times unshuffle={self.unshuffle}" * (self.unshuffle > 1)
            fitting = [name for name, known in UPSCALES.items() if known is None or self.enlargement in known]
            others = f"; upsamplers for it: {', '.join(map(repr, fitting))}" if self.upscale > 0 else ""
            raise InputError(f"upsampler={self.upsampler!r} enlarges by {factors}, got {got}{others}.")

    @property
    def img_sides(self) -> tuple[int, int]:
        """(height, width) of the training patches."""
        return self.img_size if isinstance(self.img_size, tuple) else (self.img_size, self.img_size)

    @property
    def enlargement(self) -> int:
        """Factor by which the reconstruction enlarges the features."""
        return self.upscale * self.unshuffle

    @property
    def side_multiple(self) -> int:
        """Divisor of the sides of padded images, in LQ pixels."""
        return self.window_size * self.unshuffle

    @property
    def example_sides(self) -> tuple[int, int]:
        """(height, width) of the smallest padded image, in LQ pixels."""
        height, width = self.img_sides if self.ape else (self.window_size, self.window_size)
        return height * self.unshuffle, width * self.unshuffle

    @property
    def attention_window(self) -> int:
        """Side of the attention windows, which is `window_size` or the side of smaller training patches."""
        return min(self.window_size, *self.img_sides)

    @property
    def shift_size(self) -> int:
        """Shift of the windows in every second layer, in pixels."""
        return 0 if min(self.img_sides) <= self.window_size else self.window_size // 2

    @property
    def mlp_hidden_dim(self) -> int:
        """Width of the MLPs' hidden layers."""
        return int(self.embed_dim * self.mlp_ratio)

    @property
    def has_dropout(self) -> bool:
        """True if training drops single features or attention weights."""
        return max(self.drop_rate, self.attn_drop_rate) > 0

    @property
    def is_random(self) -> bool:
        """True if training drops anything at random."""
        return self.has_dropout or self.drop_path_rate > 0

    @property
    def drop_path_rates(self) -> tuple[float, ...]:
        """Stochastic depth rates of all layers of all RSTBs."""
        layers = sum(self.depths)
        return tuple(self.drop_path_rate * i / max(layers - 1, 1) for i in range(layers))

    def to_dict(self) -> dict[str, Any]:
        """Returns the arguments as JSON types."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in dataclasses.asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "SwinIRConfig":
        """Builds a configuration from the result of `to_dict`.

        Raises:
          InputError: if a name is unknown or a value has the wrong type or contradicts another.
        """
        unknown = sorted(values.keys() - {field.name for field in dataclasses.fields(cls)})
        if unknown:
            raise InputError(f"Unknown SwinIR arguments: {', '.join(unknown)}.")
        return cls(**values)
