"""Uploads, limits, progress, stopping, names and removal."""

import asyncio
import io
import threading
import time
from urllib.parse import unquote

import numpy as np
import pytest
from app_server import OFFER, png, run, serving
from picture_files import make_pixels, pillow_bytes
from PIL import Image

from swinir_jax.app import jobs as jobs_module
from swinir_jax.app.limits import Limits
from swinir_jax.app.networks import Networks, offers_by_purpose
from swinir_jax.checkpoints.purposes import PURPOSES, SCALES
from swinir_jax.cli.main import main
from swinir_jax.images import Picture, read_size, write_picture


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
            assert (end["height"], end["width"]) == read_size(expected)
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


async def wait_until(condition):
    while not condition():
        await asyncio.sleep(0.01)


def test_an_unknown_choice_is_refused(spool):
    async def test():
        async with serving() as client:
            assert await client.upload(png(), choice="photo/16/") == (400, "There is no choice 'photo/16/'.\n")

    run(test)


def test_progress_counts_tiles(spool):
    async def test():
        async with serving() as client:
            states = [state async for state in client.states(await client.upload(png(60, 60)))]
            assert [state["state"] for state in states] == sorted(
                (state["state"] for state in states), key=["waiting", "loading", "working", "done"].index
            )
            counts = [state["done"] for state in states if state["state"] == "working"]
            assert counts == sorted(counts)
            assert states[-1]["done"] == states[-1]["total"] > 10

    run(test)


class Gate:
    """Holds each picture's second tile until it is opened, and counts finished tiles and pictures at work."""

    def __init__(self, monkeypatch):
        self.reached, self.opened = threading.Event(), threading.Event()
        self.tiles, self.inside, self.most = 0, 0, 0
        restore = Networks.restore

        def gated(networks, offer, file, name, folder, done):
            def counting(count, total):
                self.tiles += count
                if count:
                    self.reached.set()
                    assert self.opened.wait(30)
                done(count, total)

            self.inside += 1
            self.most = max(self.most, self.inside)
            try:
                return restore(networks, offer, file, name, folder, counting)
            finally:
                self.inside -= 1

        monkeypatch.setattr(Networks, "restore", gated)

    async def reach(self):
        assert await asyncio.to_thread(self.reached.wait, 30)


@pytest.fixture
def gate(monkeypatch):
    return Gate(monkeypatch)


def test_stop_ends_between_two_tiles_and_the_next_picture_is_restored(spool, gate):
    async def test():
        async with serving() as client:
            first = await client.upload(png(60, 60))
            listening = asyncio.create_task(client.end(first))
            await gate.reach()
            second = await client.upload(png(), "second.png")
            assert (await client.ask("DELETE", f"/api/jobs/{first}"))[0] == 204
            gate.opened.set()
            assert (await listening)["state"] == "stopped"
            assert gate.tiles == 1
            assert (await client.end(second))["state"] == "done"
            assert gate.most == 1
            assert {path.parent.name for path in spool.glob("*/*/*")} == {second}

    run(test)


def test_a_waiting_picture_is_stopped_at_once(spool, gate):
    async def test():
        async with serving() as client:
            first, second = await client.upload(png()), await client.upload(png())
            await gate.reach()
            states = client.states(second)
            assert (await anext(states))["state"] == "waiting"
            await client.ask("DELETE", f"/api/jobs/{second}")
            assert (await anext(states))["state"] == "stopped"
            assert not (await asyncio.to_thread(list, spool.glob(f"*/{second}")))
            gate.opened.set()
            assert (await client.end(first))["state"] == "done"

    run(test)


def test_one_picture_is_restored_at_a_time(spool, gate):
    async def test():
        gate.opened.set()
        async with serving() as client:
            keys = [await client.upload(png()) for _ in range(4)]
            assert [(await client.end(key))["state"] for key in keys] == ["done"] * 4
            assert gate.most == 1

    run(test)


def test_files_are_removed_after_the_download_or_in_time_and_at_the_end(spool, monkeypatch):
    now = [0.0]

    class Clock:
        monotonic = staticmethod(lambda: now[0] + time.monotonic())

    monkeypatch.setattr(jobs_module, "time", Clock)
    monkeypatch.setattr("swinir_jax.app.server._SWEEP_SECONDS", 0.02)

    async def kept(client, *keys):
        await asyncio.sleep(0.1)
        return [(await client.ask("GET", f"/api/jobs/{key}/result"))[0] == 200 for key in keys]

    async def test():
        async with serving(Limits(keep_seconds=3600, keep_after_download=60)) as client:
            first, second, third = [await client.upload(png()) for _ in range(3)]
            await client.end(third)
            await client.ask("GET", f"/api/jobs/{first}/result")
            now[0] = 61
            await asyncio.sleep(0.1)
            assert {path.name for path in spool.glob("*/*")} == {second, third}
            assert (await client.ask("GET", f"/api/jobs/{first}/result"))[0] == 404
            now[0] = 3601
            await asyncio.sleep(0.1)
            assert not list(spool.glob("*/*"))
            await client.end(await client.upload(png()))
            assert len(list(spool.glob("*/*"))) == 1
        assert not list(spool.iterdir())

    run(test)


def test_a_picture_larger_than_memory_is_restored_by_rows_without_a_preview(spool, monkeypatch):
    monkeypatch.setattr("swinir_jax.inference.streaming.StreamingRestorer.size_if_fits", lambda restorer, file: None)
    monkeypatch.setattr("swinir_jax.app.jobs.write_preview", refuse)

    async def test():
        async with serving() as client:
            key = await client.upload(png(60, 40))
            end = await client.end(key)
            assert (end["state"], end["width"], end["height"]) == ("done", 80, 120)
            assert (await client.ask("GET", f"/api/jobs/{key}/after"))[0] == 204
            assert (await client.ask("GET", f"/api/jobs/{key}/result"))[0] == 200

    run(test)


def refuse(file, preview):
    raise MemoryError


def test_a_failure_that_nobody_foresaw_fails_one_picture_alone(spool, monkeypatch, caplog):
    restore = Networks.restore
    monkeypatch.setattr(Networks, "restore", lambda *arguments: [][0])

    async def test():
        async with serving() as client:
            end = await client.end(await client.upload(png()))
            assert end["state"] == "failed"
            assert "IndexError" in end["text"]
            monkeypatch.setattr(Networks, "restore", restore)
            assert (await client.end(await client.upload(png())))["state"] == "done"

    run(test)
    assert "IndexError" in caplog.text


def test_offers_are_those_of_the_table_with_the_defaults_first():
    offers = offers_by_purpose()
    assert list(dict.fromkeys(offer.purpose for offer in offers)) == list(PURPOSES)
    assert len({offer.key for offer in offers}) == len(offers)
    for name, purpose in PURPOSES.items():
        own = [offer for offer in offers if offer.purpose == name]
        assert own[0].scale == purpose.scale
        assert own[0].level == purpose.level
        assert {offer.scale for offer in own} == set(SCALES)
        assert len({(offer.scale, offer.networks) for offer in own}) == len(own)
    assert OFFER.purpose == "model"
