"""Licences of weights in the messages of `swinir-jax restore`."""

import re

import numpy as np

from swinir_jax.checkpoints.zoo import weight_metadata
from swinir_jax.cli.choosing import describe_licenses
from swinir_jax.cli.main import main
from swinir_jax.images import Picture, write_picture
from swinir_jax.inference import files

OFFICIAL = "005_colorDN_DFWB_s128w8_SwinIR-M_noise25"


def test_each_licence_is_named_once():
    terms = weight_metadata("lightweight_x2")["license"]
    assert describe_licenses(["jpeg_light", "lightweight_x2"]) == f"; licence of the weights: {terms}"
    assert describe_licenses(["jpeg_light", OFFICIAL]) == f"; licence of the weights: {terms} and Apache-2.0"
    assert describe_licenses(["my_network.pth"]) == ""


def test_the_line_on_networks_ends_with_the_licence(monkeypatch, capsys):
    monkeypatch.setattr(files, "restore_picture", lambda picture, restorer: picture)
    write_picture("a.png", Picture(np.zeros((8, 8, 3), np.uint8)))
    assert main(["restore", "a.png", "--model", "jpeg_light"]) == 0
    assert re.search(
        r"loaded in .* s; licence of the weights: research use, .*LICENSE-weights", capsys.readouterr().err
    )
