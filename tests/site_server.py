"""The site with small networks, on a host of static files that sends no headers of its own."""

import contextlib
import dataclasses
import functools
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import jax
import numpy as np
from goldens import params_of
from small_model import CONFIG, PARAMS

from swinir_jax import SwinIR, SwinIRConfig
from swinir_jax.app.networks import Offer, Part
from swinir_jax.app.site import make_site
from swinir_jax.inference.chain import NetworkChain

_LIKE_JPEG = SwinIRConfig(img_range=255.0, window_size=7, embed_dim=4, depths=(2,), num_heads=(1,))
NETWORKS = {
    "double": (SwinIR(CONFIG), PARAMS),
    "repair": (
        SwinIR(_LIKE_JPEG),
        params_of(_LIKE_JPEG, 2),
    ),
    "ended_0.5": (SwinIR(CONFIG), PARAMS),
    "ended_1": (SwinIR(CONFIG), params_of(CONFIG, 2)),
}


def _offer(purpose, scale, *networks, strength=None):
    return Offer(
        purpose=purpose,
        scale=scale,
        strength=strength,
        networks=networks,
        place="bundled",
        load=lambda **options: None,
    )


OFFERS = [
    _offer("clean", 2, "double"),
    _offer("clean", 3, "double", "double"),
    _offer("jpeg", 1, "repair"),
    _offer("photo", 4, "another network"),
    _offer("photo", 2, "ended", strength=0.5),
    _offer("photo", 2, "ended", strength=1),
]


def write_site(folder, runtime):
    parts = (Part("double"), Part("repair"), Part("ended", 0.5), Part("ended", 1))
    make_site(folder, OFFERS, {part: NETWORKS[str(part)] for part in parts}, runtime)


def expected_pixels(pixels, names, scale):
    """Returns what `swinir-jax restore` makes of uint8 pixels by the site's networks, whose weights are float16."""
    networks = [(model, jax.tree.map(_rounded, params)) for model, params in (NETWORKS[name] for name in names)]
    return NetworkChain(networks, scale)(pixels)


def _rounded(values):
    return values if values.ndim < 2 else np.asarray(values, np.float16).astype(np.float32)


@dataclasses.dataclass
class Host:
    """A running host.

    Attributes:
      address: address of the site, which does not lie at the root.
      requests: methods and paths of all requests so far.
      is_open: whether requests are answered; otherwise connections are broken off.
    """

    address: str
    requests: list[tuple[str, str]]
    is_open: bool = True


@contextlib.contextmanager
def hosting(folder):
    """Serves a folder as `/some/place/`; yields the Host."""
    host = Host("", [])

    class Handler(SimpleHTTPRequestHandler):
        def parse_request(self):
            parsed = super().parse_request()
            if parsed:
                host.requests.append((self.command, self.path))
                self.path = self.path.removeprefix("/some/place")
            return parsed and host.is_open

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        host.address = f"http://127.0.0.1:{server.server_port}/some/place/"
        yield host
        server.shutdown()
        thread.join()
