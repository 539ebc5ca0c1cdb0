"""Blind degradation: chains of steps that make LQ of a photograph, as values.

BSRGAN (Zhang et al. 2021, arXiv 2103.14006) and its extension as KAIR has them in `utils/utils_blindsr.py`, and the
second-order chain of Real-ESRGAN (Wang et al. 2021, arXiv 2107.10833) with the settings of its x4plus network.
"""

import dataclasses
import math
from collections.abc import Mapping

import numpy as np

from swinir_jax.data.blind.blur import Blur, Gaussian, Halve, Resize, ResizeToTarget, ShiftedDownscale, Sinc, sharpen
from swinir_jax.data.blind.combine import InOrder, Maybe, OneOf, Shuffled
from swinir_jax.data.blind.noise import BsrganPoissonNoise, GaussianNoise, Jpeg, RealEsrganPoissonNoise
from swinir_jax.data.blind.step import Step
from swinir_jax.errors import InputError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chain:
    """A blind degradation, drawn anew for each photograph.

    Attributes:
      scale: HQ / LQ side ratio.
      steps: steps from HQ to LQ, of which one resizes to the size of LQ.
      sharpen: whether HQ is sharpened by an unsharp mask first, so that networks learn sharp edges.
    """

    scale: int
    steps: Step
    sharpen: bool = False

    def __call__(self, hq: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Degrades a photograph.

        Args:
          hq: `[H, W, 3]` float32 in [0, 1]; sides are multiples of `scale`.
          rng: generator of all random choices, which advances.

        Returns:
          HQ, sharpened where the chain says so, and LQ `[H / scale, W / scale, 3]`; float32 in [0, 1].

        Raises:
          InputError: if `hq` has another shape or dtype.
        """
        h, w = hq.shape[:2]
        if hq.ndim != 3 or hq.shape[2] != 3 or h % self.scale or w % self.scale or hq.dtype != np.float32:
            raise InputError(f"A chain of x{self.scale} takes float32 [H, W, 3] with such sides, got {hq.shape}.")
        if self.sharpen:
            hq = sharpen(hq)
        return hq, self.steps(hq, (h // self.scale, w // self.scale), rng)


def _bsrgan_blur(scale: int) -> Blur:
    return Blur(
        kinds=(
            (0.5, Gaussian(variance=(0, 4 + scale))),
            (0.5, Gaussian(sigma=(0, 2 + 0.2 * scale), isotropic=True)),
        ),
        sides=(7, 25),
    )


def _bsrgan_noise(**options: bool) -> GaussianNoise:
    return GaussianNoise(sigma=(2, 25), gray=0.4, correlated=0.2, whole=True, **options)


def _bsrgan_shuffled(scale: int) -> Shuffled:
    return Shuffled(
        steps=(
            _bsrgan_blur(scale),
            _bsrgan_blur(scale),
            OneOf(
                (
                    (0.75, Resize(factors=(1 / (2 * scale), 1), reciprocal=True)),
                    (0.25, ShiftedDownscale(scale=scale, sigma=(0.1, 0.6 * scale))),
                )
            ),
            ResizeToTarget(),
            _bsrgan_noise(),
            Maybe(0.9, Jpeg(quality=(30, 95))),
        ),
        before=(2, 3),
    )


def bsrgan(scale: int) -> Chain:
    """Returns BSRGAN's chain; at x4, a quarter of the photographs is halved first."""
    steps: Step = _bsrgan_shuffled(scale)
    if scale == 4:
        steps = OneOf(((0.75, steps), (0.25, InOrder((Halve(), _bsrgan_shuffled(2))))))
    return Chain(scale=scale, steps=InOrder((steps, Jpeg(quality=(30, 95)))))


def bsrgan_plus(scale: int) -> Chain:
    """Returns the chain of BSRGAN extended by Real-ESRGAN's noises, with two rounds of each step."""

    def one_round(resize_scale: int) -> tuple[Step, ...]:
        return (
            _bsrgan_blur(scale),
            Resize(up=0.2, down=0.7, factors=(0.5 / resize_scale, 2)),
            _bsrgan_noise(),
            Maybe(0.1, BsrganPoissonNoise()),
            Maybe(0.1, _bsrgan_noise(multiplied=True)),
        )

    rounds = Shuffled(steps=(*one_round(4), Jpeg(quality=(30, 95)), *one_round(scale)), probability=0.1)
    return Chain(scale=scale, steps=InOrder((rounds, ResizeToTarget(), Jpeg(quality=(30, 95)))), sharpen=True)


def real_esrgan(scale: int) -> Chain:
    """Returns Real-ESRGAN's second-order chain."""

    def blur(sigma: tuple[float, float]) -> Blur:
        kinds = [
            (share * 0.9, Gaussian(sigma=sigma, isotropic=isotropic, power=power, flat=flat))
            for share, isotropic, power, flat in (
                (0.45, True, (1.0, 1.0), False),
                (0.25, False, (1.0, 1.0), False),
                (0.12, True, (0.5, 4.0), False),
                (0.03, False, (0.5, 4.0), False),
                (0.12, True, (1.0, 2.0), True),
                (0.03, False, (1.0, 2.0), True),
            )
        ]
        return Blur(kinds=(*kinds, (0.1, Sinc(wide_cutoff=(math.pi / 5, math.pi)))), sides=(7, 21))

    def noise(sigma: tuple[float, float], strength: tuple[float, float]) -> OneOf:
        return OneOf(
            ((0.5, GaussianNoise(sigma=sigma, gray=0.4)), (0.5, RealEsrganPoissonNoise(strength=strength, gray=0.4)))
        )

    jpeg = Jpeg(quality=(30, 95))
    to_lq = InOrder((ResizeToTarget(), Maybe(0.8, Blur(kinds=((1.0, Sinc()),), sides=(7, 21)))))
    steps = (
        blur((0.2, 3.0)),
        Resize(up=0.2, down=0.7, factors=(0.15, 1.5)),
        noise((1, 30), (0.05, 3.0)),
        jpeg,
        Maybe(0.8, blur((0.2, 1.5))),
        Resize(up=0.3, down=0.4, factors=(0.3, 1.2), of_target=True),
        noise((1, 25), (0.05, 2.5)),
        Shuffled(steps=(to_lq, jpeg), probability=1.0),
    )
    return Chain(scale=scale, steps=InOrder(steps), sharpen=True)


def _photo_blur(most: float) -> Blur:
    sigma = (0.2, most)
    return Blur(kinds=((0.7, Gaussian(sigma=sigma, isotropic=True)), (0.3, Gaussian(sigma=sigma))), sides=(7, 21))


def photo(scale: int) -> Chain:
    """Returns a chain of mild degradations, as of photographs from phones and the web; a tenth stays clean.

    At x1 nothing is resized: noise, JPEG and blur are left.
    """
    steps = (
        Maybe(0.7, _photo_blur(1.5)),
        Resize(up=0.0, down=0.5, factors=(1 / scale, 1)),
        Maybe(0.6, GaussianNoise(sigma=(1, 15), gray=0.4)),
        Maybe(0.4, Jpeg(quality=(40, 95))),
        ResizeToTarget(),
        Jpeg(quality=(40, 95)),
    )
    return Chain(scale=scale, steps=OneOf(((0.9, InOrder(steps)), (0.1, ResizeToTarget()))))


def photo_strong(scale: int) -> Chain:
    """Returns a chain of strong degradations, as of photographs that are old, dark, or were passed on many times.

    A quarter is not stored as JPEG in the end. At x1, half of the photographs are made smaller and enlarged again, and
    fewer are blurred besides: a third stays sharp.
    """
    noise, jpeg = Maybe(0.4, GaussianNoise(sigma=(1, 40), gray=0.4)), Jpeg(quality=(10, 95))
    steps = (
        Maybe(0.7 if scale > 1 else 0.3, _photo_blur(1.5 + 0.4 * scale)),
        Resize(up=0.0, down=0.5, factors=(0.5 / scale, 1)),
        noise,
        Maybe(0.4, jpeg),
        ResizeToTarget(),
        noise,
        Maybe(0.75, jpeg),
    )
    return Chain(scale=scale, steps=InOrder(steps))


CHAINS: Mapping[str, Chain] = {
    f"{name}_x{scale}": chain(scale)
    for name, chain, scales in (
        ("bsrgan", bsrgan, (2, 4)),
        ("bsrgan_plus", bsrgan_plus, (2, 4)),
        ("real_esrgan", real_esrgan, (2, 4)),
        ("photo", photo, (1, 2, 4)),
        ("photo_strong", photo_strong, (1, 2, 4)),
    )
    for scale in scales
}
