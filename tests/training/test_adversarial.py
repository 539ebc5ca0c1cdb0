"""Adversarial training: five steps of KAIR, and what every step promises."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from goldens import GOLDENS, fill, generated_weights, relative_error
from test_discriminator import discriminator_variables
from test_vgg import vgg19_tensors
from training_runs import EXPERIMENT

from swinir_jax.checkpoints.names import params_from_official, params_to_official
from swinir_jax.config import SwinIRConfig
from swinir_jax.models.discriminator import SPECTRAL
from swinir_jax.training.experiment import DiscriminatorOptimizerConfig, GanConfig, LossConfig, OptimizerConfig
from swinir_jax.training.state import create_state
from swinir_jax.training.step import train_step
