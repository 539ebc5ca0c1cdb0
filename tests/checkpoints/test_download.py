import dataclasses
import hashlib
import logging
import time

import pytest
import safetensors.numpy
from goldens import TINY, TINY_SWIN2SR, checkpoints, generated_weights
from weight_files import official_tensors
from weight_server import serving

import swinir_jax
from swinir_jax import InputError
from swinir_jax.checkpoints import download, zoo
from swinir_jax.checkpoints.download import locate_official
from swinir_jax.checkpoints.names import official_shapes
from swinir_jax.checkpoints.zoo import OfficialModel
from swinir_jax.errors import DownloadError, UnwritableError

GOOD = (checkpoints() / "params.pth").read_bytes()
MODEL = OfficialModel(name="tiny_x2", task="lightweight_sr", level="x2", config=TINY)


@pytest.fixture
def server(monkeypatch, tmp_path):
    with serving(GOOD) as server:
        monkeypatch.setenv(download.MIRROR_VARIABLE, f"http://127.0.0.1:{server.server_port}/mirror/")
        monkeypatch.setenv(download.WEIGHTS_VARIABLE, str(tmp_path / "weights"))
        monkeypatch.setattr(download, "cache_folder", lambda: tmp_path / "cache")
        yield server


def test_whole_file_is_fetched_once(server, tmp_path):
    path = locate_official(MODEL)
    assert path == tmp_path / "weights" / "tiny_x2.pth"
    assert path.read_bytes() == GOOD
    assert locate_official(MODEL) == path
    assert server.asked == ["/mirror/tiny_x2.pth"]


def test_this_machine_is_asked_without_a_proxy(server, monkeypatch):
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # nobody listens there
    assert locate_official(MODEL).read_bytes() == GOOD


def test_files_come_from_the_release_of_their_project(server, monkeypatch):
    monkeypatch.delenv(download.MIRROR_VARIABLE)
    locate_official(dataclasses.replace(MODEL, release=f"http://127.0.0.1:{server.server_port}/other/v1"))
    assert server.asked == ["/other/v1/tiny_x2.pth"]
    releases = {model.release: set() for model in zoo.OFFICIAL.values()}
    for name, model in zoo.OFFICIAL.items():
        releases[model.release].add("Swin2SR" if name.startswith("Swin2SR_") else "SwinIR")
    assert releases == {
        "https://github.com/JingyunLiang/SwinIR/releases/download/v0.0": {"SwinIR"},
        "https://github.com/mv-lab/swin2sr/releases/download/v0.0.1": {"Swin2SR"},
    }


def test_a_swin2sr_is_loaded_by_name(server, monkeypatch, caplog):
    name = "Swin2SR_Lightweight_X2_64"
    monkeypatch.setitem(zoo.OFFICIAL, name, dataclasses.replace(zoo.OFFICIAL[name], config=TINY_SWIN2SR))
    server.body = GOOD  # a SwinIR
    with pytest.raises(InputError, match=r"do not fit the model.*missing .*(cpb_mlp|logit_scale)"):
        swinir_jax.load_pretrained(name)
    server.body = safetensors.numpy.save(official_tensors(TINY_SWIN2SR))
    assert swinir_jax.load_pretrained(f"{name}.pth")[0].config == TINY_SWIN2SR
    assert server.asked == 2 * [f"/mirror/{name}.pth"]
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_slow_file_is_fetched(server):
    server.pause = 0.3
    assert locate_official(MODEL).read_bytes() == GOOD


WRONG = {
    "short": (GOOD[:-1000], len(GOOD), "bytes"),
    "short without a length": (GOOD[:-1000], None, "tiny_x2.pth"),
    "a web page": (b"<html>Sign in</html>", None, "a web page"),
    "empty": (b"", None, "an empty file"),
    "another network": ((checkpoints() / "wrong_shape.pth").read_bytes(), None, "shape"),
    "not there": (None, None, "404|Not Found"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_wrong_files_leave_nothing_behind(server, tmp_path, kind):
    server.body, server.claim, word = WRONG[kind]
    with pytest.raises(InputError, match=word) as caught:
        locate_official(MODEL)
    message = str(caught.value)
    assert f"127.0.0.1:{server.server_port}/mirror/tiny_x2.pth" in message
    assert str(tmp_path / "weights" / "tiny_x2.pth") in message
    assert "\n" not in message
    assert list((tmp_path / "weights").iterdir()) == []


@pytest.mark.parametrize("kind", WRONG)
def test_errors_tell_what_a_later_try_may_bring(server, kind):
    server.body, server.claim, _ = WRONG[kind]
    with pytest.raises(InputError) as caught:
        locate_official(MODEL)
    is_fetched = kind not in ("short", "not there")
    assert isinstance(caught.value, DownloadError) != is_fetched
    assert ("tiny_x2.pth: was downloaded, and is not the network wanted (" in str(caught.value)) == is_fetched


def test_a_folder_that_cannot_receive_downloads_is_told_from_a_failed_one(server, tmp_path):
    (tmp_path / "weights").write_text("a file in the place of the folder")
    with pytest.raises(UnwritableError, match="weights: cannot be written"):
        locate_official(MODEL)
    assert server.asked == []


def test_stalled_server_is_given_up(server, monkeypatch, tmp_path):
    server.pause = 60.0
    monkeypatch.setattr(download, "_TIMEOUT", 0.3)
    start = time.perf_counter()
    with pytest.raises(InputError, match="timed out"):
        locate_official(MODEL)
    assert time.perf_counter() - start < 30
    assert list((tmp_path / "weights").iterdir()) == []


def test_no_network_names_the_address_and_the_place(server, monkeypatch, tmp_path):
    monkeypatch.setenv(download.MIRROR_VARIABLE, "http://127.0.0.1:9")  # nobody listens there
    with pytest.raises(
        InputError, match=r"127\.0\.0\.1:9/tiny_x2\.pth .*refused.*put the file at .*tiny_x2\.pth by hand"
    ):
        locate_official(MODEL)


def test_folders_are_searched_in_order(server, tmp_path):
    weights = safetensors.numpy.save(generated_weights(official_shapes(TINY), 1))
    for name in ("cache", "weights", "given"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "tiny_x2.pth").write_bytes(weights)
        given = tmp_path / "given" if name == "given" else None
        assert locate_official(MODEL, given) == tmp_path / name / "tiny_x2.pth"
    assert server.asked == []


# By address


def files_in(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.fixture
def address(server):
    return f"http://127.0.0.1:{server.server_port}/some/net%20work.pth?download=true"


def test_a_model_by_address_is_fetched_once_with_its_checksum_in_the_log(server, address, tmp_path, caplog, capsys):
    caplog.set_level(logging.INFO)
    model, _ = swinir_jax.load_pretrained(address, progress=True)
    assert model.config.embed_dim == 12
    assert hashlib.sha256(GOOD).hexdigest() in caplog.text
    assert "net%20work.pth" in capsys.readouterr().err  # the bar
    (path,) = files_in(tmp_path / "cache")
    assert (path.name, path.read_bytes()) == ("net_work.pth", GOOD)
    swinir_jax.load_pretrained(address)
    assert server.asked == ["/some/net%20work.pth?download=true"]
    swinir_jax.load_pretrained(address.replace("/some/", "/other/"))  # another file of the same name
    assert len(files_in(tmp_path / "cache")) == 2


@pytest.mark.parametrize("kind", WRONG)
def test_wrong_files_of_an_address_are_not_kept(server, address, tmp_path, kind):
    server.body, server.claim, word = WRONG[kind]
    word = {"short without a length": "cut short", "another network": "do not fit"}.get(kind, word)
    with pytest.raises(InputError, match=word) as caught:
        swinir_jax.load_pretrained(address)
    assert address in str(caught.value)
    assert "\n" not in str(caught.value)
    assert [*(tmp_path / "cache").iterdir()] == []


@pytest.mark.parametrize(
    "name",
    [
        "ftp://127.0.0.1/x.pth",
        "file:///etc/passwd",
        "file:x.pth",
        "s3://bucket/x.pth",
        "hf:user/network",
        "data:text/plain,x",
        "http://example.com/x.pth",
        "HTTP://example.com/x.pth",
        "http://127.0.0.1.example.com/x.pth",
        "http://127.0.0.1@example.com/x.pth",
        "https://",
        "https:///x.pth",
        "https://[::1/x.pth",
    ],
)
def test_other_addresses_are_refused_in_one_line(server, name):
    with pytest.raises(InputError, match=r"downloaded from https:// addresses only|not an address") as caught:
        swinir_jax.load_pretrained(name)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_redirections_to_refused_addresses_are_refused(server, tmp_path):
    start = f"http://127.0.0.1:{server.server_port}"
    server.goes_to = f"{start}/network.pth"
    swinir_jax.load_pretrained(f"{start}/elsewhere")
    for goes_to in ("http://example.com/x.pth", "ftp://127.0.0.1/x.pth", "file:///etc/passwd"):
        server.goes_to = goes_to
        with pytest.raises(InputError, match="Could not download"):
            swinir_jax.load_pretrained(f"{start}/elsewhere?{goes_to}")
    assert len(files_in(tmp_path)) == 1


def test_a_file_whose_name_looks_like_an_address_is_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run:best.pth").write_bytes(GOOD)
    assert swinir_jax.load_pretrained("run:best.pth")[0].config.embed_dim == 12


@pytest.mark.parametrize("path", ["/..", "/%2e%2e", "/a%2f..%2f..", "/", "/.bashrc", "/x" * 300])
def test_no_address_leads_outside_of_the_cache(server, tmp_path, path):
    swinir_jax.load_pretrained(f"http://127.0.0.1:{server.server_port}{path}")
    (file,) = files_in(tmp_path)
    assert file.parent.parent == tmp_path / "cache"
    assert not file.name.startswith(".")


def test_an_address_pins_a_file(server, address, tmp_path):
    digest = hashlib.sha256(GOOD).hexdigest()
    with pytest.raises(InputError, match=f"is not the network wanted .has the SHA-256 {digest}, not {'0' * 64}"):
        swinir_jax.load_pretrained(f"{address}#sha256={'0' * 64}")
    assert files_in(tmp_path) == []
    swinir_jax.load_pretrained(f"{address}#sha256={digest.upper()}")
    swinir_jax.load_pretrained(f"{address}#sha256={digest}")
    (path,) = files_in(tmp_path)
    assert len(server.asked) == 2
    path.write_bytes((checkpoints() / "params_and_ema.pth").read_bytes())
    with pytest.raises(InputError, match=f"net_work.pth: has the SHA-256 .*, not {digest}"):
        swinir_jax.load_pretrained(f"{address}#sha256={digest}")
    with pytest.raises(InputError, match="64 hexadecimal digits, got 'many'"):
        swinir_jax.load_pretrained(f"{address}#sha256=many")
