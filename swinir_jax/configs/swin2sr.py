"""Classical super-resolution by Swin2SR: layers of Swin Transformer V2 (Conde et al. 2022, arXiv 2209.11345).

    python train.py swin2sr_classical_x2 --workdir runs/swin2sr_classical_x2 \
      --data.hq folder:DIV2K_train_HR,folder:Flickr2K --validation.hq Set5/HR

The settings are those of `classical_sr_x2`, because the authors follow SwinIR's, with the patch of their published
network, 64.
"""

import dataclasses

from swinir_jax.configs import classical_sr

_SWINIR = classical_sr.EXPERIMENTS["classical_sr_x2"]

EXPERIMENTS = {
    "swin2sr_classical_x2": dataclasses.replace(
        _SWINIR,
        network=dataclasses.replace(_SWINIR.network, family="swin2sr", img_size=64),
        data=dataclasses.replace(_SWINIR.data, patch_size=64),
    )
}
