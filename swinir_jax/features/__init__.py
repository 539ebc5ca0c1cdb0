from swinir_jax.training import perceptual
def perceptual_loss(name, params, restored, hq, key=None):
    return sum(perceptual.perceptual_losses(params, restored, hq).values())
def load_features(name, weights_dir=None):
    raise NotImplementedError
