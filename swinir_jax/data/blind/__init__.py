"""Blind degradation: photographs blurred, resized, made noisy and compressed at random."""

import typing

from swinir_jax.errors import InputError

if typing.TYPE_CHECKING:
    from swinir_jax.data.blind.chains import Chain


def blind_chain(name: str) -> "Chain":
    """Returns a chain by its name in `swinir_jax.data.blind.chains.CHAINS`.

    Raises:
      InputError: if no chain has this name, or OpenCV is not installed.
    """
    try:
        from swinir_jax.data.blind.chains import CHAINS
    except ModuleNotFoundError as error:
        raise InputError("Blind degradation needs OpenCV: pip install 'swinir-jax[train]'.") from error
    if name not in CHAINS:
        raise InputError(f"No degradation chain is called {name!r}; there are {', '.join(CHAINS)}.")
    return CHAINS[name]
