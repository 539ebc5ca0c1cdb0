"""Files of `torch.save` that are refused: damaged, hostile, or of another kind."""

import random
import re
import struct
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from goldens import checkpoints
from torch_programs import SIX, call, name, storage, tensor, tensor_of_dtype, value, write_legacy, write_zip

from swinir_jax.checkpoints import torch_file
from swinir_jax.checkpoints.torch_file import read_torch_file
from swinir_jax.errors import InputError

SAMPLES = checkpoints()
WRITERS = pytest.mark.parametrize("write", [write_zip, write_legacy])


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_torch_file(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


@WRITERS
@pytest.mark.parametrize(
    ("offset", "shape", "strides", "words"),
    [
        (6, (1,), (1,), "beyond its storage"),
        (0, (7,), (1,), "beyond its storage"),
        (0, (3,), (3,), "beyond its storage"),
        (-1, (1,), (1,), "do not describe one"),
        (5, (6,), (-1,), "do not describe one"),
        (0, (2, 3), (3,), "do not describe one"),
        (0, (5,), (2**60,), "beyond its storage"),  # the last element begins at byte 2**64, in 64 bits at 0
        (0, (0, 2), (2**70, 1), "dimension exceeded"),
        (0, (2**40,), (0,), "larger than the whole file"),
        (0.0, (1,), (1,), "do not describe one"),
        (0, ("1",), (1,), "do not describe one"),
        (0, 6, 1, "not int"),
        (0, (1,) * 65, (1,) * 65, "dimension"),
    ],
)
def test_a_tensor_outside_its_storage_is_refused(tmp_path, write, offset, shape, strides, words):
    assert words in refusal(write(tmp_path / "a.pt", tensor(storage(), offset, shape, strides), SIX))


def test_a_tensor_whose_dtype_is_given_apart_stays_in_its_storage(tmp_path):
    path = tmp_path / "a.pt"
    assert read_torch_file(write_zip(path, tensor_of_dtype("torch.uint64", 24, (3,), "0"), SIX)).shape == (3,)
    assert "beyond its storage" in refusal(write_zip(path, tensor_of_dtype("torch.uint64", 24, (4,), "0"), SIX))


def test_a_tensor_cannot_pass_for_a_storage(tmp_path):
    expanded = tensor(storage(), 0, (50,), (0,))  # 50 elements, 4 bytes behind them
    refusal(write_zip(tmp_path / "a.pt", tensor(expanded, 0, (50,), (1,)), SIX))


@WRITERS
def test_storages_that_do_not_fit_the_file_are_refused(tmp_path, write):
    one = (0, (1,), (1,))
    for source in (storage(count=5), storage(count=7), storage(key="1")):
        refusal(write(tmp_path / "a.pt", tensor(source, *one), SIX))
    for count in (-1, 2**30):
        assert "larger than the file" in refusal(write(tmp_path / "a.pt", tensor(storage(count=count), *one), SIX))
    assert "without a storage" in refusal(write(tmp_path / "a.pt", tensor(value(None), *one), SIX))


def test_a_legacy_file_must_bring_each_storage(tmp_path):
    program = tensor(storage(), 0, (6,), (1,))
    for options in ({"data": SIX[:1]}, {"data": SIX, "keys": ()}, {"data": SIX, "keys": ("0", "0")}):
        refusal(write_legacy(tmp_path / "a.pt", program, **options))


def test_an_archive_in_another_compression_is_refused(tmp_path):
    path = write_zip(tmp_path / "a.pt", tensor(storage(), 0, (6,), (1,)), SIX, compression=zipfile.ZIP_LZMA)
    assert "compressed again, in a way that is not read" in refusal(path)  # its dictionary can be of any size


def test_a_changed_byte_is_refused_unless_the_file_has_no_checksums(tmp_path):
    path = write_zip(tmp_path / "a.pt", tensor(storage(), 0, (6,), (1,)), SIX)
    content = bytearray(path.read_bytes())
    content[content.index(SIX) + 5] ^= 1
    path.write_bytes(content)
    assert refusal(path) == "the archive is damaged at its entry 'any name/data/0'."
    for start in (entry.start() for entry in re.finditer(b"PK\x01\x02", content)):
        content[start + 16 : start + 20] = bytes(4)  # as after torch.serialization.set_crc32_options(False)
    path.write_bytes(content)
    assert read_torch_file(path)[1] != 1


def test_an_entry_larger_than_announced_is_not_unpacked_whole(tmp_path):
    path = write_zip(tmp_path / "a.pt", value(bytes(1 << 26).decode()), compression=zipfile.ZIP_BZIP2)
    content = bytearray(path.read_bytes())
    entry = content.index(b"PK\x01\x02")
    content[entry + 24 : entry + 28] = struct.pack("<I", 100)  # the announced size
    path.write_bytes(content)
    tracemalloc.start()
    refusal(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16 << 20


def test_what_a_small_archive_unpacks_to_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(torch_file, "_LARGEST_UNPACKED", 1 << 16)
    zeros = bytes(1 << 20)
    program = tensor(storage(count=1 << 18), 0, (1 << 18,), (1,))
    path = write_zip(tmp_path / "a.pt", program, zeros, compression=zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 1 << 12
    assert "larger than the file" in refusal(path)
    monkeypatch.setattr(torch_file, "_LARGEST_PICKLE", 1 << 12)
    path = write_zip(tmp_path / "b.pt", b"}" * (1 << 13), compression=zipfile.ZIP_DEFLATED)
    assert "data.pkl' has 8195 bytes" in refusal(path)


@WRITERS
@pytest.mark.parametrize(
    ("culprit", "call_of"),
    [
        ("os.mkdir", lambda target: call("os.mkdir", target)),
        ("os.mkdir", lambda target: value("os") + value("mkdir") + b"\x93(" + target + b"tR"),  # STACK_GLOBAL
        (
            "shutil.os.mkdir",
            lambda target: call("builtins.getattr", name("shutil.os"), value("mkdir")) + b"(" + target + b"tR",
        ),
        ("builtins.eval", lambda target: call("builtins.eval", value("__import__('os').mkdir('x')"))),
        ("torch._utils.os.mkdir", lambda target: call("torch._utils.os.mkdir", target)),
        ("KeyError(105)", lambda target: b"(" + target + b"ios\nmkdir\n"),  # INST
        ("KeyError(111)", lambda target: b"(" + name("argparse.Namespace") + target + b"o"),  # OBJ
    ],
)
def test_code_is_refused_by_name_and_never_runs(tmp_path, write, culprit, call_of):
    target = tmp_path / "made"
    assert culprit in refusal(write(tmp_path / "a.pt", call_of(value(str(target)))))
    assert not target.exists()


def test_the_malicious_sample_is_refused():
    assert "posix.system" in refusal(SAMPLES / "malicious.pth")


@pytest.mark.parametrize(
    "program",
    [
        tensor(storage(), 0, (6,), (1,)) + value((1, (6,), None, False, "")) + b"b",  # ndarray.__setstate__
        name("torch._utils._rebuild_tensor_v2") + value((None, {"__defaults__": ()})) + b"b",
        tensor(storage(), 0, (6,), (1,)) + value(0) + value(1.0) + b"s",  # array[0] = 1
        call("numpy.dtype", value("O8")),
        call(
            "numpy.core.multiarray.scalar",
            call("numpy.dtype", value("f8")),
            call("_codecs.encode", value("1" * 16), value("latin1")),
        ),
        call("collections.OrderedDict", b"]" + value(("a", 1)) + b"a"),
        call("_codecs.encode", value("x" * 1000), value("latin1")),
        value(1) + value(2) + b"a",  # (1).append(2)
        call("builtins.getattr", name("a.B"), value("x" * 300)),
        call("builtins.getattr", name("a.B"), value([])),
        b"}N" + b"\x85" * 100_000 + b"Ns",  # its hash would overflow the C stack
        b"}N" + b"".join(b"q\x00h\x00\x86" for _ in range(64)) + b"Ns",  # its hash would take 2**64 steps
        b"\x96" + struct.pack("<Q", 2**36) + b"x",  # BYTEARRAY8 of 64 GiB
    ],
)
def test_instructions_cannot_be_turned_against_the_reader(tmp_path, program):
    refusal(write_zip(tmp_path / "a.pt", program, SIX))


@pytest.mark.parametrize("content", [b"", b"\0" * 100, b"Not a network.\n", b"\x80\x02K\x01.", b"PK\x03\x04"])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "a.pth"
    path.write_bytes(content)
    refusal(path)


def test_a_missing_file_a_folder_and_another_archive_are_told_apart(tmp_path):
    assert "no such file" in refusal(tmp_path / "absent.pth")
    assert "folder" in refusal(tmp_path)
    assert "arrays of NumPy" in refusal(SAMPLES / "expected.npz")
    assert refusal(SAMPLES / "truncated.pth") == "the archive is cut short; download it again."


def test_an_archive_of_a_later_zip_version_is_refused(tmp_path):
    path = write_zip(tmp_path / "a.pt", value(1))
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 6] = 99
    path.write_bytes(content)
    assert "version 9.9" in refusal(path)


@WRITERS
def test_damage_never_raises_anything_but_an_input_error(tmp_path, write):
    path = tmp_path / "a.pth"
    good = write(path, b"}" + value("w") + tensor(storage(), 0, (2, 3), (3, 1)) + b"s", SIX).read_bytes()
    rng = random.Random(0)
    refused = 0
    for _ in range(200):
        damaged = bytearray(good)
        for _ in range(rng.choice((1, 1, 4))):
            damaged[rng.randrange(len(good))] = rng.randrange(256)
        path.write_bytes(damaged[: rng.choice((len(good), rng.randrange(len(good))))])
        try:
            read_torch_file(path)
        except InputError:
            refused += 1
    assert refused > 100
