"""A small network that doubles the sides of an image, for tests of commands, of the page and of the site."""

from goldens import params_of

from swinir_jax import SwinIRConfig

CONFIG = SwinIRConfig(upscale=2, upsampler="pixelshuffledirect", embed_dim=4, depths=(2,), num_heads=(1,))
PARAMS = params_of(CONFIG)
