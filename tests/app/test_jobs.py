"""Jobs: progress, stopping, removal, failures; and what is offered."""

import asyncio
import collections
import threading
import time

import numpy as np
import pytest
from app_server import OFFER, png, run, serving
from goldens import params_of
from small_model import CONFIG, PARAMS

from swinir_jax import InputError, SwinIR
from swinir_jax.app import jobs as jobs_module
from swinir_jax.app.limits import Limits
from swinir_jax.app.networks import Networks, offer_of_networks, offers_by_purpose, offers_of_models
from swinir_jax.app.previews import write_preview
from swinir_jax.checkpoints.ends import save_ends
from swinir_jax.checkpoints.purposes import PURPOSES, SCALES
from swinir_jax.checkpoints.zoo import bundled_models
from swinir_jax.inference.chain import NetworkChain


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
    """Holds each picture's second tile until it is opened, and counts finished tiles, by name, and pictures at work."""

    def __init__(self, monkeypatch):
        self.reached, self.opened = threading.Event(), threading.Event()
        self.tiles, self.inside, self.most = collections.Counter(), 0, 0
        restore = Networks.restore

        def gated(networks, offer, file, name, folder, done):
            def counting(count, total):
                self.tiles[name] += count
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


def test_a_page_that_is_closed_meanwhile_is_no_error(spool, gate, caplog):
    async def test():
        async with serving() as client:
            key = await client.upload(png(60, 60))
            async with client.session.get(f"/api/jobs/{key}/events") as answer:
                await answer.content.readline()
                await gate.reach()
                answer.close()
            gate.opened.set()
            assert (await client.end(key))["state"] == "done"

    run(test)
    assert not caplog.records


def test_stop_ends_between_two_tiles_and_the_next_picture_is_restored(spool, gate):
    async def test():
        async with serving() as client:
            first = await client.upload(png(60, 60), "first.png")
            listening = asyncio.create_task(client.end(first))
            await gate.reach()
            second = await client.upload(png(), "second.png")
            assert (await client.ask("DELETE", f"/api/jobs/{first}"))[0] == 204
            gate.opened.set()
            assert (await listening)["state"] == "stopped"
            assert gate.tiles["first.png"] == 1
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


def test_failed_pictures_take_no_place(spool, monkeypatch):
    def fail(*arguments):
        raise InputError("no")

    async def test():
        async with serving(Limits(jobs=2)) as client:
            with monkeypatch.context() as patch:
                patch.setattr(Networks, "restore", fail)
                for _ in range(2):
                    assert (await client.end(await client.upload(png())))["state"] == "failed"
            for _ in range(2):
                assert (await client.end(await client.upload(png())))["state"] == "done"
            assert (await client.upload(png()))[0] == 503

    run(test)


def test_one_picture_is_restored_at_a_time(spool, gate):
    async def test():
        gate.opened.set()
        async with serving() as client:
            keys = [await client.upload(png()) for _ in range(4)]
            assert [(await client.end(key))["state"] for key in keys] == ["done"] * 4
            assert gate.most == 1

    run(test)


@pytest.fixture
def now(monkeypatch):
    """Returns a list of the seconds by which the clock of jobs is ahead; the server sweeps all the time."""
    now = [0.0]

    class Clock:
        monotonic = staticmethod(lambda: now[0] + time.monotonic())

    monkeypatch.setattr(jobs_module, "time", Clock)
    monkeypatch.setattr("swinir_jax.app.server._SWEEP_SECONDS", 0.02)
    return now


def test_the_results_of_a_night_are_kept(spool, now):
    async def test():
        async with serving() as client:
            key = await client.upload(png())
            await client.end(key)
            now[0] = 12 * 3600
            await asyncio.sleep(0.1)
            assert (await client.ask("GET", f"/api/jobs/{key}/result"))[0] == 200

    run(test)


def test_files_are_removed_after_the_download_or_in_time_and_at_the_end(spool, now):
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
    monkeypatch.setattr("swinir_jax.inference.chain.NetworkChain.size_if_fits", lambda restorer, file: None)
    monkeypatch.setattr("swinir_jax.app.jobs.write_preview", refuse)

    async def test():
        async with serving() as client:
            key = await client.upload(png(60, 40))
            end = await client.end(key)
            assert (end["state"], end["width"], end["height"]) == ("done", 80, 120)
            assert (await client.ask("GET", f"/api/jobs/{key}/after"))[0] == 204
            assert (await client.ask("GET", f"/api/jobs/{key}/result"))[0] == 200

    run(test)


def refuse(file, preview, memory):
    raise MemoryError


def test_previews_keep_to_the_memory_allowed(tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(png(60, 40))
    needed = 60 * 40 * 3 * 3  # bytes, and those of the file
    monkeypatch.setattr("swinir_jax.app.previews.resident_bytes", lambda: 10**9)
    write_preview(tmp_path / "a.png", tmp_path / "b.png", 10**9 + 2 * needed)
    assert (tmp_path / "b.png").is_file()
    for memory in (10**9 + needed // 2, 10**9, 10**8):
        with pytest.raises(InputError, match="allow more memory"):
            write_preview(tmp_path / "a.png", tmp_path / "c.png", memory)


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
        assert len({(offer.scale, offer.networks, offer.strength) for offer in own}) == len(own)
    assert OFFER.purpose == "model"
    assert [offer.strength for offer in offers if offer.networks == ("real_denoise",)] == [0.85, 0, 1]


def test_an_offer_of_several_networks_runs_them_in_turn():
    network = (SwinIR(CONFIG), PARAMS)
    offer = offer_of_networks(["small", "small"], [network, network])
    assert (offer.scale, offer.networks) == (4, ("small", "small"))
    assert offer.load().models == (network[0], network[0])


def test_a_model_with_two_ends_is_offered_at_both_and_at_its_default(tmp_path):
    strong = params_of(CONFIG, 2)
    save_ends(tmp_path / "ends", PARAMS, strong, CONFIG, strength=0.25)
    offers = offers_of_models([str(tmp_path / "ends")])
    assert [offer.describe()["strength"] for offer in offers] == [0.25, 0, 1]
    assert len({offer.key for offer in offers}) == 3
    lq = np.random.default_rng(0).random((16, 16, 3), dtype=np.float32)
    _, faithful, most = (offer.load(tile=0).restore(lq) for offer in offers)
    for params, expected in ((PARAMS, faithful), (strong, most)):
        np.testing.assert_array_equal(NetworkChain([(SwinIR(CONFIG), params)], 2, tile=0).restore(lq), expected)
    assert np.abs(faithful - most).max() > 0.01


def test_offers_with_bundled_networks_are_for_research():
    for offer in offers_by_purpose():
        assert offer.describe()["research"] == any(name in bundled_models() for name in offer.networks)
    assert not OFFER.describe()["research"]
