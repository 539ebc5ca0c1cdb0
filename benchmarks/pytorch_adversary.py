"""KAIR's adversarial training step in PyTorch, to time against: U-Net discriminator, VGG19 features, both updates.

Does what KAIR's `models/model_gan.py` does with the options of SwinIR's real-world training; weights are random.
"""

import itertools
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import spectral_norm


class Discriminator(nn.Module):
    """U-Net discriminator with spectral normalisation, `[B, 3, H, W]` -> logits `[B, 1, H, W]`."""

    def __init__(self, features: int = 64):
        super().__init__()
        f = features

        def conv(channels: int, out: int, kernel: int = 3, stride: int = 1) -> nn.Module:
            return spectral_norm(nn.Conv2d(channels, out, kernel, stride, 1, bias=False))

        self.first, self.last = nn.Conv2d(3, f, 3, 1, 1), nn.Conv2d(f, 1, 3, 1, 1)
        self.down = nn.ModuleList([conv(f, 2 * f, 4, 2), conv(2 * f, 4 * f, 4, 2), conv(4 * f, 8 * f, 4, 2)])
        self.up = nn.ModuleList([conv(8 * f, 4 * f), conv(4 * f, 2 * f), conv(2 * f, f)])
        self.head = nn.ModuleList([conv(f, f), conv(f, f)])

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Judges images."""
        skips = [functional.leaky_relu(self.first(image), 0.2)]
        for conv in self.down:
            skips.append(functional.leaky_relu(conv(skips[-1]), 0.2))
        x = skips.pop()
        for conv in self.up:
            doubled = functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
            x = functional.leaky_relu(conv(doubled), 0.2) + skips.pop()
        for conv in self.head:
            x = functional.leaky_relu(conv(x), 0.2)
        return self.last(x)


class Features(nn.Module):
    """The five features of VGG19 before activation that KAIR's perceptual loss compares."""

    weights = (0.1, 0.1, 1.0, 1.0, 1.0)

    def __init__(self) -> None:
        super().__init__()
        channels, self.blocks = 3, nn.ModuleList()
        for depth, features in zip((2, 2, 4, 4, 4), (64, 128, 256, 512, 512), strict=True):
            sizes = [channels] + [features] * depth
            self.blocks.append(nn.ModuleList(nn.Conv2d(i, o, 3, 1, 1) for i, o in itertools.pairwise(sizes)))
            channels = features
        self.mean = torch.tensor((0.485, 0.456, 0.406)).reshape(1, 3, 1, 1)
        self.std = torch.tensor((0.229, 0.224, 0.225)).reshape(1, 3, 1, 1)
        self.requires_grad_(False)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Returns the output of the last convolution of each block."""
        found = []
        for index, block in enumerate(self.blocks):
            x = functional.max_pool2d(functional.relu(x), 2) if index else (x - self.mean) / self.std
            for i, conv in enumerate(block):
                x = conv(functional.relu(x) if i else x)
            found.append(x)
        return found


def adversarial_step(generator: nn.Module, lq: torch.Tensor, hq: torch.Tensor) -> Callable[[], None]:
    """Returns a function that performs one step of KAIR's `ModelGAN`: generator first, then discriminator.

    Args:
      generator: network to train.
      lq: `[B, 3, h, w]` in [0, 1].
      hq: `[B, 3, H, W]` in [0, 1].
    """
    judge, features = Discriminator(), Features()
    optimizers = [torch.optim.Adam(network.parameters(), lr=1e-4) for network in (generator, judge)]

    def cross_entropy(logits: torch.Tensor, real: float) -> torch.Tensor:
        return functional.binary_cross_entropy_with_logits(logits, torch.full_like(logits, real))

    def step() -> None:
        judge.requires_grad_(False)
        optimizers[0].zero_grad()
        restored = generator(lq)
        loss = functional.l1_loss(restored, hq) + 0.1 * cross_entropy(judge(restored), 1)
        with torch.no_grad():
            wanted = features(hq)
        for weight, a, b in zip(features.weights, features(restored), wanted, strict=True):
            loss = loss + weight * functional.l1_loss(a, b)
        loss.backward()
        optimizers[0].step()
        judge.requires_grad_(True)
        optimizers[1].zero_grad()
        cross_entropy(judge(hq), 1).backward()
        cross_entropy(judge(restored.detach()), 0).backward()
        optimizers[1].step()

    return step
