from swinir_jax.training.perceptual import vgg19_weights
