"""Takes the pictures of the page for docs/app.md and the README: `swinir-jax app` with docs/astronaut.png restored.

    python benchmarks/page_pictures.py [--browser /usr/bin/chromium]

Needs `pip install '.[app]' playwright` and Chromium.
"""

import argparse
import io
import re
import subprocess
import sys

from networks import PHOTO
from PIL import Image
from playwright.sync_api import Browser, sync_playwright
from tables import ROOT

# File: width and height of the window, colours, and width of the picture.
PICTURES = {
    "app_light.jpg": (1400, 926, "light", 910),
    "app_phone_dark.jpg": (390, 720, "dark", 390),
}
QUALITY = 85  # of the JPEG files
MILLISECONDS = 300_000  # for the restoration


def photograph(browser: Browser, address: str, name: str) -> None:
    """Restores the photograph on the page, and writes docs/NAME."""
    width, height, scheme, shown = PICTURES[name]
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme, locale="en-GB")
    page.goto(address)
    page.wait_for_selector("body[data-ready]")
    page.set_input_files("#file", PHOTO)
    page.locator("#stage[data-state=finished]").wait_for(timeout=MILLISECONDS)
    page.wait_for_timeout(1000)  # for the pictures to be drawn
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    picture = picture.resize((shown, height * shown // width), Image.Resampling.LANCZOS)
    picture.save(ROOT / "docs" / name, quality=QUALITY, optimize=True)


def main() -> None:
    """Starts the page and takes the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--browser", default="/usr/bin/chromium", help="default: %(default)s")
    args = parser.parse_args()
    command = [sys.executable, "-m", "swinir_jax.cli.main", "app", "--no-open", "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server, sync_playwright() as playwright:
        lines = iter(server.stderr.readline, "")
        address = next(match[0] for line in lines if (match := re.search(r"http://127\.0\.0\.1:\d+/", line)))
        browser = playwright.chromium.launch(executable_path=args.browser)
        for name in PICTURES:
            photograph(browser, address, name)
        browser.close()
        server.terminate()


if __name__ == "__main__":
    main()
