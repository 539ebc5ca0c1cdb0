"""What is uploaded: pictures and their results, names, files that are no pictures, limits."""

import asyncio
import errno
import io
import os
from urllib.parse import unquote

import numpy as np
import pytest
from app_server import OFFER, png, run, serving
from picture_files import make_pixels, pillow_bytes
from PIL import Image

from swinir_jax.app import server
from swinir_jax.app.limits import Limits
from swinir_jax.cli.main import main
from swinir_jax.images import Picture, read_header, write_picture


def file_of(tmp_path, name, picture):
    write_picture(tmp_path / name, picture)
    return (tmp_path / name).read_bytes()


def cmyk():
    file = io.BytesIO()
    Image.fromarray(make_pixels(3)).convert("CMYK").save(file, "JPEG")
    return file.getvalue()


def turned():
    exif = Image.Exif()
    exif[274] = 6
    exif[271] = "A camera"
    return pillow_bytes(make_pixels(3), "JPEG", exif=exif)


FILES = {
    "photo.png": lambda folder: pillow_bytes(make_pixels(3), "PNG"),
    "deep.png": lambda folder: file_of(folder, "deep.png", Picture(make_pixels(3, np.uint16))),
    "turned.jpg": lambda folder: turned(),
    "cmyk.jpg": lambda folder: cmyk(),
    "scan.tiff": lambda folder: file_of(folder, "scan.tiff", Picture(make_pixels(0, np.uint16), dpi=(300.0, 300.0))),
    "cut out.webp": lambda folder: file_of(folder, "cut out.webp", Picture(make_pixels(3), make_pixels(0)[::-1])),
    "Über 山.PNG": lambda folder: pillow_bytes(make_pixels(0), "PNG"),
    "no ending": lambda folder: pillow_bytes(make_pixels(3), "JPEG"),
}


@pytest.fixture(scope="module")
def results(tmp_path_factory, model):
    """Returns files and what the command makes of them, by name."""
    given, out = tmp_path_factory.mktemp("given"), tmp_path_factory.mktemp("out")
    for name, make in FILES.items():
        (given / name).write_bytes(make(tmp_path_factory.mktemp("made")))
    files = sorted(map(str, given.iterdir()))
    assert main(["restore", "--quiet", "--model", model, "--tile", "16", *files, "--out", str(out)]) == 0
    results = {path.stem: path for path in out.iterdir()}
    return {name: ((given / name).read_bytes(), results[(given / name).stem]) for name in FILES}


@pytest.mark.parametrize("name", FILES)
def test_the_result_is_what_the_command_writes(spool, results, name):
    data, expected = results[name]

    async def test():
        async with serving() as client:
            key = await client.upload(data, name)
            end = await client.end(key)
            assert end["state"] == "done", end
            _, headers, content = await client.ask("GET", f"/api/jobs/{key}/result")
            assert content == expected.read_bytes()
            assert end["name"] == expected.name
            assert headers["Content-Disposition"].startswith("attachment; filename*=UTF-8''")
            assert unquote(headers["Content-Disposition"].partition("''")[2]) == expected.name
            assert (end["height"], end["width"]) == read_header(expected).size
            for which, factor in (("before", 1), ("after", 2)):
                _, headers, preview = await client.ask("GET", f"/api/jobs/{key}/{which}")
                assert headers["Content-Type"] == "image/png"
                image = Image.open(io.BytesIO(preview))
                assert image.mode in ("RGB", "RGBA")
                assert image.size == (end["width"] * factor // 2, end["height"] * factor // 2)

    run(test)


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ("C:\\Users\\me\\photo.jpg", "photo.png"),
        ("../../etc/photo.png", "photo.png"),
        ("a\r\nSet-Cookie: x.png", "aSet-Cookie: x.png"),
        ("..", "picture.png"),
        ("", "picture.png"),
        ("x" * 300 + ".png", None),
        ('a"; b.png', 'a"; b.png'),
        ("a family \U0001f468\u200d\U0001f469 .png", "a family \U0001f468\u200d\U0001f469 .png"),
    ],
)
def test_names_are_names_and_never_paths(spool, told, name):
    async def test():
        async with serving() as client:
            key = await client.upload(png(), told)
            end = await client.end(key)
            assert end["name"] == name or (name is None and len(end["name"].encode()) <= 255)
            status, headers, _ = await client.ask("GET", f"/api/jobs/{key}/result")
            assert status == 200
            assert "Set-Cookie" not in headers
            assert {path.name for path in spool.glob("*/*/*")} <= {"upload", "result.png"}

    run(test)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is empty"),
        (b"Dear diary, this is no picture.", "not a PNG"),
        (png()[:20], "notes.png"),
        (b"\x89PNG\r\n\x1a\n" + bytes(40), "notes.png"),
    ],
)
def test_what_is_no_picture_is_refused_in_one_line_and_removed(spool, data, reason):
    async def test():
        async with serving() as client:
            status, text = await client.upload(data, "notes.png")
            assert status == 422
            assert reason in text
            assert text.startswith("notes.png: ")
            assert len(text.splitlines()) == 1
            assert str(spool) not in text
            assert not list(spool.glob("*/*"))

    run(test)


def test_a_full_disk_is_told(spool, monkeypatch):
    def full(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(server, "receive", full)

    async def test():
        async with serving() as client:
            status, text = await client.upload(png(), "a.png")
            assert (status, text) == (507, "a.png: cannot be kept by the server (No space left on device).\n")
            assert not list(spool.glob("*/*"))

    run(test)


def test_a_damaged_picture_fails_with_its_name(spool):
    async def test():
        async with serving() as client:
            key = await client.upload(png()[:-400], "torn.png")
            end = await client.end(key)
            assert end["state"] == "failed"
            assert end["text"].startswith("torn.png: ")
            assert str(spool) not in end["text"]
            assert not list(spool.glob("*/*"))
            assert (await client.ask("GET", f"/api/jobs/{key}/before"))[0] == 204
            assert (await client.ask("GET", f"/api/jobs/{key}/result"))[0] == 404
            assert (await client.end(await client.upload(png())))["state"] == "done"

    run(test)


def test_limits_are_told(spool):
    async def pieces():
        for _ in range(64):
            yield bytes(1000)

    async def test():
        async with serving(Limits(file_bytes=20_000, pixels=1000, jobs=2)) as client:
            for body in (bytes(20_001), pieces()):  # with and without Content-Length
                status, text = await client.upload(body)
                assert status == 413
                assert "0.02 MB" in text
            status, text = await client.upload(png(20, 51))
            assert (status, text) == (413, "51 x 20 pixels are more than the limit of 1000.\n")
            assert not list(spool.glob("*/*"))
            for _ in range(2):
                assert isinstance(await client.upload(png(20, 50)), str)
            status, text = await client.upload(png(20, 50))
            assert status == 503
            assert "Too many" in text
            assert (await client.upload(png(), choice="photo/16"))[0] == 503

    run(test)


def test_an_upload_that_breaks_off_leaves_nothing(spool, caplog):
    async def test():
        async with serving() as client:
            port = int(client.address.rpartition(":")[2])
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            lines = f"POST /api/jobs?choice={OFFER.key} HTTP/1.1", "Host: localhost", "Content-Length: 9999", "", ""
            writer.write("\r\n".join(lines).encode() + png()[:500])
            await writer.drain()
            await wait_until(lambda: list(spool.glob("*/*/upload")))
            writer.close()
            await wait_until(lambda: not list(spool.glob("*/*")))

    run(test)
    assert not caplog.records


def test_an_encoded_body_is_refused(spool, caplog):
    async def test():
        async with serving() as client:
            status, text = await client.upload(png(), headers={"Content-Encoding": "gzip"})
            assert (status, text) == (415, "Send the file as it is, without Content-Encoding.\n")
            assert not list(spool.glob("*/*"))

    run(test)
    assert not caplog.records


async def wait_until(condition):
    while not condition():
        await asyncio.sleep(0.01)


def test_an_unknown_choice_is_refused(spool):
    async def test():
        async with serving() as client:
            assert await client.upload(png(), choice="photo/16/") == (400, "There is no choice 'photo/16/'.\n")

    run(test)
