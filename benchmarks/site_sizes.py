"""Measures what visitors of the site download, for the table of docs/browser.md.

make site && python benchmarks/site_sizes.py site
"""

import argparse
import gzip
from collections.abc import Iterable
from pathlib import Path

from tables import ROOT, markdown, replace_table

RUNTIMES = {"WASM": "ort-wasm-simd-threaded.wasm", "WebGPU": "ort-wasm-simd-threaded.asyncify.wasm"}
Size = tuple[int, int]  # bytes, and bytes gzipped


def size(files: Iterable[Path]) -> Size:
    """Returns the size of files."""
    contents = [file.read_bytes() for file in files]
    return sum(map(len, contents)), sum(len(gzip.compress(content)) for content in contents)


def main() -> None:
    """Writes the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("site", type=Path, help="folder that `swinir-jax site` wrote")
    site = parser.parse_args().site
    networks = sorted((site / "networks").iterdir())
    runtimes = {name: size([site / "runtime" / file]) for name, file in RUNTIMES.items()}
    everything = [file for file in site.rglob("*") if file.is_file()]
    page = size(file for file in everything if file.parent.name not in ("networks", "runtime"))
    network = size(networks[:1])
    rows = {"page": page}
    rows |= {f"ONNX Runtime with {name}": runtime for name, runtime in runtimes.items()}
    rows |= {f"a network ({networks[0].stem})": network}
    rows |= {
        f"**first picture with {name}, one network**": (
            page[0] + runtime[0] + network[0],
            page[1] + runtime[1] + network[1],
        )
        for name, runtime in runtimes.items()
    }
    rows |= {"the site": size(everything)}
    cells = [[name, *(f"{number / 1e6:.2f}" for number in numbers)] for name, numbers in rows.items()]
    replace_table(ROOT / "docs" / "browser.md", "table of downloads", markdown(("", "MB", "MB gzipped"), cells))


if __name__ == "__main__":
    main()
