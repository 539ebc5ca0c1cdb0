"""What the page offers to do with a picture, and the networks that do it."""

import dataclasses
import itertools
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from swinir_jax.checkpoints.folders import is_two_ended
from swinir_jax.checkpoints.pretrained import load_pretrained
from swinir_jax.checkpoints.purposes import PURPOSES, SCALES, Choice, Quality, choose_models
from swinir_jax.checkpoints.store import read_config
from swinir_jax.checkpoints.zoo import RESEARCH_LICENSE, license_of, model_path
from swinir_jax.files import shortened
from swinir_jax.images import read_header
from swinir_jax.images.targets import result_ending, result_stem
from swinir_jax.inference.chain import Network, NetworkChain, load_restorer
from swinir_jax.inference.files import FileRestoration

Done = Callable[[int, int], None]
"""Function of (tiles just finished, tiles in all), called after each batch of tiles."""

_SIZES = 8  # sizes of pictures after which a restorer is replaced, because it keeps a program for each size


class Part(NamedTuple):
    """A network, as `load_pretrained` takes it.

    Attributes:
      name: name of the network.
      strength: from 0, faithful, to 1, strong; None for a network without two ends.
    """

    name: str
    strength: float | None = None

    def __str__(self) -> str:
        return self.name if self.strength is None else f"{self.name}_{self.strength:g}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Offer:
    """One thing that can be done with a picture.

    Attributes:
      purpose: key of `PURPOSES`, or "model" for a network that the user named.
      scale: enlargement.
      quality: "fast" or "best".
      level: level of the degradation; None without levels.
      strength: from 0, faithful, to 1, strong; None for a network without two ends.
      networks: names of the networks in the order in which they run.
      place: "to be fetched" if one of them is, else where they are.
      better: name of a network that suits the purpose better; None if these do.
      load: function from options of a `NetworkChain` to the restorer.
    """

    purpose: str
    scale: int
    quality: str = "fast"
    level: int | None = None
    strength: float | None = None
    networks: tuple[str, ...]
    place: str
    better: str | None = None
    load: Callable[..., NetworkChain] = dataclasses.field(compare=False)

    @property
    def key(self) -> str:
        """Text that tells the offer from others."""
        level, strength = ("" if value is None else value for value in (self.level, self.strength))
        return "/".join(map(str, (self.purpose, self.scale, self.quality, level, strength)))

    @property
    def parts(self) -> list[Part]:
        """The networks, of which the first one alone may have two ends."""
        first, *others = self.networks
        return [Part(first, self.strength), *map(Part, others)]

    def describe(self) -> Mapping[str, Any]:
        """Returns what the page has to know, as JSON values."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        research = any(license_of(name) == RESEARCH_LICENSE for name in self.networks)
        return {
            "key": self.key,
            "research": research,
            **{name: value for name, value in fields.items() if name != "load"},
        }


def offers_by_purpose(weights_dir: str | None = None) -> list[Offer]:
    """Returns all that the table of purposes can do, the defaults first, and networks that serve two offers once."""
    offers: dict[tuple[Any, ...], list[Offer]] = {}
    qualities: tuple[Quality, ...] = ("fast", "best")
    for purpose in PURPOSES.values():
        scales, levels = _first(purpose.scale, SCALES), _first(purpose.level, purpose.levels or (None,))
        for scale, quality, level in itertools.product(scales, qualities, levels):
            choice = choose_models(purpose.name, scale, quality=quality, level=level, weights_dir=weights_dir)
            models = tuple(step.model for step in choice.passes)
            strengths = _strengths(choice.passes[0].source)
            offers.setdefault(
                (purpose.name, scale, models), [_offer(choice, strength, weights_dir) for strength in strengths]
            )
    return list(itertools.chain.from_iterable(offers.values()))


def _first(default: Any, values: Sequence[Any]) -> list[Any]:
    return sorted(values, key=lambda value: value != default)


def _offer(choice: Choice, strength: float | None, weights_dir: str | None) -> Offer:
    def load(**options: Any) -> NetworkChain:
        return load_restorer(choice, strength=strength, weights_dir=weights_dir, **options)

    places = [step.place for step in choice.passes]
    return Offer(
        purpose=choice.purpose,
        scale=choice.scale,
        quality=choice.quality,
        level=choice.level,
        strength=strength,
        networks=tuple(step.model for step in choice.passes),
        place="to be fetched" if "to be fetched" in places else places[0],
        better=choice.better,
        load=load,
    )


def offers_of_models(names: Sequence[str], **options: Any) -> list[Offer]:
    """Loads networks that run in turn.

    Args:
      names: names for `load_pretrained`.
      **options: options of `load_pretrained`.

    Returns:
      One offer; if the first network has two ends, one at the default strength and one at each end, the default first.

    Raises:
      InputError: if weights cannot be loaded.
    """
    first, *others = names
    further = [load_pretrained(name, **options) for name in others]
    return [
        offer_of_networks(names, [load_pretrained(first, strength=strength, **options), *further], strength)
        for strength in _strengths(first)
    ]


def _strengths(name: str) -> list[float | None]:
    """Returns the default, the faithful and the strong strength of a network with two ends, else None."""
    folder = model_path(name)
    if not is_two_ended(folder):
        return [None]
    _, content = read_config(folder)
    return list(dict.fromkeys((content["strength"], 0, 1)))


def offer_of_networks(names: Sequence[str], networks: Sequence[Network], strength: float | None = None) -> Offer:
    """Returns the offer of networks that are loaded already and run in turn."""
    scale = math.prod(model.config.upscale for model, _ in networks)

    def load(**options: Any) -> NetworkChain:
        return NetworkChain(networks, scale, **options)

    return Offer(purpose="model", scale=scale, strength=strength, networks=tuple(names), place="given", load=load)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """A restored picture.

    Attributes:
      file: the result.
      name: file name of the result for the user.
      width: width in pixels.
      height: height in pixels.
      seconds: time of reading, restoring and writing, once the networks are loaded.
      notes: short sentences on what was converted, left out or assumed.
    """

    file: Path
    name: str
    width: int
    height: int
    seconds: float
    notes: tuple[str, ...]


class Networks:
    """The offers, and the networks of the last one in memory. Restores one picture at a time.

    Attributes:
      offers: the offers by key.
      memory: bytes that the process may hold; None for a share of the free memory.
    """

    def __init__(self, offers: Sequence[Offer], **options: Any):
        """Keeps the offers; loads nothing.

        Args:
          offers: what can be done, the default first.
          **options: options of a `NetworkChain`, such as `tile` and `memory`.
        """
        self.offers = {offer.key: offer for offer in offers}
        self.memory: int | None = options.get("memory")
        self._options = options
        self._loaded: tuple[Offer, NetworkChain] | None = None
        self._sizes: set[tuple[int, int]] = set()
        self._done: Done = lambda tiles, total: None

    def restore(self, offer: Offer, file: Path, name: str, folder: Path, done: Done) -> Outcome:
        """Restores a picture as `swinir-jax restore` does.

        Args:
          offer: what to do.
          file: picture to read.
          name: the picture's file name for the user.
          folder: folder for the result, whose file there is called `result`, with the ending of the format.
          done: called with (0, 0) when the networks are loaded, then as `done` of a restorer; may raise an error to
            stop.

        Raises:
          InputError: if the networks cannot be loaded, or the picture cannot be read or restored.
        """
        header = read_header(file)
        restorer = self._restorer(offer, header.size)
        start = time.monotonic()
        done(0, 0)
        self._done = done
        by_rows = restorer.size_if_fits(file) is None
        ending, choice = result_ending(Path(name), header.enlarged(restorer.scale), by_rows=by_rows)
        target = folder / f"result{ending}"
        restored = FileRestoration(file, target, restorer, by_rows=by_rows, memory=self.memory).run()
        return Outcome(
            target,
            shortened(result_stem(Path(name)), ending),
            restored.width,
            restored.height,
            time.monotonic() - start,
            (*choice, *restored.notes),
        )

    def _restorer(self, offer: Offer, size: tuple[int, int]) -> NetworkChain:
        if len(self._sizes | {size}) > _SIZES or (self._loaded and self._loaded[0] != offer):
            self._loaded = None
            self._sizes.clear()
        if self._loaded is None:
            self._loaded = offer, offer.load(**self._options, done=lambda tiles, total: self._done(tiles, total))
        self._sizes.add(size)
        return self._loaded[1]
