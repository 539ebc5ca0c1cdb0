"""The local page's server: pictures come in over HTTP on 127.0.0.1 and leave restored."""
