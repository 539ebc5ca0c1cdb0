"""A server of weight files on this machine, in place of those of the releases."""

import contextlib
import http.server
import threading
import time


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves the server's `body` with the length `claim`, after a `pause` in the middle.

    The path `/elsewhere` redirects to the address `goes_to`.
    """

    def do_GET(self):
        self.server.asked.append(self.path)
        if self.path.startswith("/elsewhere"):
            self.send_response(302)
            self.send_header("Location", self.server.goes_to)
            self.end_headers()
            return
        if self.server.body is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(self.server.claim or len(self.server.body)))
        self.end_headers()
        half = len(self.server.body) // 2
        self.wfile.write(self.server.body[:half])
        self.wfile.flush()
        time.sleep(self.server.pause)
        self.wfile.write(self.server.body[half:])

    def log_message(self, *args):
        pass


@contextlib.contextmanager
def serving(body):
    """Serves bytes at every address; `asked` lists the paths that were asked for."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.asked, server.body, server.claim, server.pause = [], body, None, 0.0
        server.handle_error = lambda *args: None  # a client that hangs up is part of the tests
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
