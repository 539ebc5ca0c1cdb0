"""Cuts training photographs out of pictures with free licences that Linux and Python packages carry.

    apt-get download lomiri-wallpapers-16.04 lomiri-wallpapers-20.04
    for package in lomiri-*.deb; do dpkg -x $package wallpapers; done
    pip download --no-deps scikit-image scikit-learn && for wheel in *.whl; do unzip -qo $wheel -d wheels; done
    python benchmarks/free_photographs.py wallpapers/usr/share/backgrounds wheels/skimage/data \
      wheels/sklearn/datasets/images --out free

The wallpapers come from telephones and cameras, as JPEG of several megapixels: each is shrunk by 2, 3 and 4, which
takes noise and the marks of JPEG away, and cut into tiles, of which the ones with texture are kept. The other pictures
are small and are kept as they are. All are under CC-BY, CC-BY-SA or CC0, or in the public domain: the packages name
authors and licences in `usr/share/doc/*/copyright`, in skimage's docstrings and in a README beside sklearn's pictures.
"""

import argparse
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

WALLPAPERS = (
    "Bridge_by_Sander_Klootwijk",
    "Dragonfly_by_Bolly",
    "Kleiber_by_Lukas_Baubkus",
    "Picture_0B_by_freespace",
    "Picture_1A_by_freespace",
    "Wine_by_Jakkub_Mede",
    "aitzgorri_by_Aitzol_Berasategi",
    "free_by_Peter_Nerlich",
    "friends_by_Aitzol_Berasategi",
    "greentock_by_Peter_Nerlich",
    "life_by_Aitzol_Berasategi",
    "picosdeeuropa_by_Aitzol_Berasategi",
    "seeding_by_Clements_Engelhardt",
    "sunset_by_Aitzol_Berasategi",
)
SMALL = ("brick.png", "chelsea.png", "coffee.png", "grass.png", "gravel.png", "rocket.jpg", "china.jpg", "flower.jpg")
SHRINKS = (2, 3, 4)
TILE = 256  # pixels
TEXTURE = 5.0  # least mean of the Laplacian's absolute value, in levels of 0 to 255


def main() -> None:
    """Writes tiles and small pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+", help="folders of the pictures")
    parser.add_argument("--out", type=Path, required=True, help="new folder")
    args = parser.parse_args()
    args.out.mkdir(parents=True)
    for name in (f"{name}.jpg" for name in WALLPAPERS):
        cut(find(name, args.folders), args.out)
    for name in SMALL:
        shutil.copy(find(name, args.folders), args.out)
    print(f"{args.out}: {len(list(args.out.iterdir()))} pictures")


def find(name: str, folders: list[Path]) -> Path:
    """Returns the path of a picture in one of the folders."""
    found = [folder / name for folder in folders if (folder / name).exists()]
    if not found:
        raise SystemExit(f"{name} is in none of these folders: {', '.join(map(str, folders))}")
    return found[0]


def cut(path: Path, out: Path) -> None:
    """Writes the tiles of a photograph that have texture."""
    image = Image.open(path).convert("RGB")
    for shrink in SHRINKS:
        small = image.resize((image.width // shrink, image.height // shrink), Image.Resampling.LANCZOS)
        for y in range(0, small.height - TILE + 1, TILE):
            for x in range(0, small.width - TILE + 1, TILE):
                tile = small.crop((x, y, x + TILE, y + TILE))
                if texture(tile) > TEXTURE:
                    tile.save(out / f"{path.stem}_{shrink}_{y}_{x}.png")


def texture(image: Image.Image) -> float:
    """Returns the mean of the Laplacian's absolute value, in levels of 0 to 255."""
    gray = np.asarray(image.convert("L"), np.float32)
    neighbours = gray[:-2, 1:-1] + gray[2:, 1:-1] + gray[1:-1, :-2] + gray[1:-1, 2:]
    return float(np.abs(4 * gray[1:-1, 1:-1] - neighbours).mean())


if __name__ == "__main__":
    main()
