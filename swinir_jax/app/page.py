"""The page's files, and the policy that a browser holds the page to."""

from collections.abc import Iterator, Mapping
from importlib import resources
from importlib.resources.abc import Traversable

from swinir_jax.images.formats import READABLE

# Content types of the files that the page loads, by ending; the others tell of licences.
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}

# What the page may load: itself alone. The server and the site add what differs between them.
POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' blob:",
    "connect-src": "'self' blob:",
    "base-uri": "'none'",
    "form-action": "'none'",
}


def policy_text(policy: Mapping[str, str]) -> str:
    """Returns a policy as `Content-Security-Policy` has it."""
    return "; ".join(f"{directive} {sources}" for directive, sources in policy.items())


def page_files() -> dict[str, bytes]:
    """Returns the page's files by path, such as `browser/worker.js`, in order.

    The file dialogue offers all endings that can be read, as systems do not count all of these files as images.
    """

    def walk(folder: Traversable, path: str) -> Iterator[tuple[str, bytes]]:
        for entry in folder.iterdir():
            if entry.is_dir():
                yield from walk(entry, f"{path}{entry.name}/")
            else:
                yield path + entry.name, entry.read_bytes()

    files = dict(sorted(walk(resources.files("swinir_jax") / "web", "")))
    offered = ",".join(["image/*", *READABLE])
    files["index.html"] = files["index.html"].replace(b'accept="image/*"', f'accept="{offered}"'.encode())
    return files
