"""Foreign pages, foreign names and foreign paths."""

import re

import pytest
from app_server import png, run, serving
from yarl import URL

from swinir_jax.app.page import page_files
from swinir_jax.images.formats import READABLE

PATHS = ["/", "/api/choices", "/style.css", "/nothing"]


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8420", "127.0.0.1.evil.example", "192.168.0.7", "[::1]", ""]
)
def test_a_foreign_host_is_refused(spool, host):
    async def test():
        async with serving() as client:
            for path in PATHS:
                status, _, content = await client.ask("GET", path, headers={"Host": host})
                assert status in (400, 403), path  # 400: aiohttp refuses no host at all
                assert b"<html" not in content

    run(test)


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "http://127.0.0.1:1", "http://localhost", "null", "file://", ""]
)
def test_a_foreign_origin_is_refused(spool, origin):
    async def test():
        async with serving() as client:
            headers = {"Origin": origin}
            status, text = await client.upload(png(), headers=headers)
            assert status == 403
            assert "own page" in text
            assert not list(spool.glob("*/*"))
            key = await client.upload(png())
            assert (await client.ask("DELETE", f"/api/jobs/{key}", headers=headers))[0] == 403
            assert (await client.end(key))["state"] == "done"

    run(test)


def test_the_own_page_is_answered_under_both_names(spool):
    async def test():
        async with serving() as client:
            port = client.address.rpartition(":")[2]
            for host in (f"127.0.0.1:{port}", f"localhost:{port}"):
                headers = {"Host": host, "Origin": f"http://{host}"}
                assert (await client.ask("GET", "/", headers=headers))[0] == 200
                assert len(await client.upload(png(), headers=headers)) > 20

    run(test)


def test_every_answer_has_the_headers_that_keep_the_page_to_itself(spool):
    async def test():
        async with serving() as client:
            key = await client.upload(png())
            await client.end(key)
            places = [
                *PATHS,
                f"/api/jobs/{key}/events",
                f"/api/jobs/{key}/after",
                f"/api/jobs/{key}/result",
                "/api/jobs/x/after",
            ]
            for path in places:
                _, headers, _ = await client.ask("GET", path)
                policy = headers["Content-Security-Policy"]
                assert "default-src 'none'" in policy, path
                assert "script-src 'self';" in policy
                assert "frame-ancestors 'none'" in policy
                assert "unsafe" not in policy
                assert headers["X-Content-Type-Options"] == "nosniff"
                assert headers["Referrer-Policy"] == "no-referrer"
                assert "Access-Control-Allow-Origin" not in headers
            refused = await client.ask("GET", "/", headers={"Host": "evil.example"})
            assert "Content-Security-Policy" in refused[1]

    run(test)


@pytest.mark.parametrize(
    "path",
    [
        "/../pyproject.toml",
        "/%2e%2e/app/server.py",
        "/texts/..%2f..%2fconfig.py",
        "//etc/passwd",
        "/vendor/README.md",
        "/vendor",
        "/api/jobs/../../result",
        "/api/jobs/%2e%2e/result",
    ],
)
def test_no_file_outside_the_page_is_opened(spool, path):
    async def test():
        async with serving() as client:
            status, _, content = await client.ask("GET", URL(client.address + path, encoded=True))
            assert status == 404
            assert len(content) < 100

    run(test)


def test_keys_cannot_be_guessed(spool):
    async def test():
        async with serving() as client:
            keys = [await client.upload(png()) for _ in range(3)]
            assert len(set(keys)) == 3
            assert min(map(len, keys)) >= 32
            for path in (f"/api/jobs/{keys[0][:-1]}/result", "/api/jobs//result", "/api/jobs/*/events"):
                assert (await client.ask("GET", path))[0] == 404

    run(test)


def test_the_page_has_neither_inline_scripts_nor_styles():
    html = page_files()["index.html"].decode()
    assert html.count("<script") == html.count('<script type="module" src="')
    for forbidden in ("<style", "style=", "javascript:", " onclick", " onload", "http://", "https://"):
        assert forbidden not in html


def test_the_file_dialogue_offers_every_readable_ending():
    [offered] = re.findall('type="file".* accept="(.*?)"', page_files()["index.html"].decode())
    assert offered.split(",") == ["image/*", *READABLE]
