"""Who may ask the server, and what a browser may do with an answer."""

import re
import secrets

from aiohttp import web
from aiohttp.typedefs import Handler

from swinir_jax.app.page import POLICY, policy_text

_LOCAL_HOST = re.compile(r"(?:127\.0\.0\.1|localhost)(?::\d+)?", re.ASCII)

_HEADERS = {
    "Content-Security-Policy": policy_text({**POLICY, "frame-ancestors": "'none'"}),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


def new_key() -> str:
    """Returns an unguessable key for the addresses of a job."""
    return secrets.token_urlsafe(24)


@web.middleware
async def only_own_page(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuses requests from foreign pages.

    A page of another site can send requests to 127.0.0.1, but its `Origin` tells. A site that points its own name to
    127.0.0.1 (DNS rebinding) has the right `Origin`, but its `Host` tells.
    """
    host, origin = request.headers.get("Host", ""), request.headers.get("Origin")
    if not _LOCAL_HOST.fullmatch(host):
        raise web.HTTPForbidden(text="This server answers to 127.0.0.1 and localhost only.\n")
    if origin is not None and origin != f"http://{host}":
        raise web.HTTPForbidden(text="This server answers its own page only.\n")
    return await handler(request)


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Adds the headers that keep the page to itself; called for each answer, errors included."""
    response.headers.update(_HEADERS)
