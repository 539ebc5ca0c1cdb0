"""`swinir-jax site`."""

import argparse
import logging
from pathlib import Path

from swinir_jax.app.networks import offers_by_purpose
from swinir_jax.app.site import fetch_runtime, make_site
from swinir_jax.checkpoints.pretrained import load_pretrained
from swinir_jax.checkpoints.zoo import bundled_models
from swinir_jax.cli.devices import check_devices
from swinir_jax.cli.paths import named_path

logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument(
        "--out",
        type=named_path,
        default=Path("site"),
        metavar="DIR",
        help="write the page into this folder (default: %(default)s)",
    )


def run(args: argparse.Namespace) -> int:
    """Writes the site with the bundled networks."""
    check_devices()
    offers = offers_by_purpose()
    parts = dict.fromkeys(part for offer in offers for part in offer.parts)
    files = bundled_models()
    networks = {
        part: load_pretrained(str(files[part.name]), strength=part.strength) for part in parts if part.name in files
    }
    make_site(args.out, offers, networks, fetch_runtime())
    size = sum(file.stat().st_size for file in args.out.rglob("*") if file.is_file())
    logger.info("%s: %.1f MB, for any host of static files", args.out, size / 1e6)
    return 0
