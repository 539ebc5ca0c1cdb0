import argparse
import dataclasses
from pathlib import Path

import pytest

from swinir_jax.cli.inputs import Source
from swinir_jax.cli.shards import Shard

SOURCES = [Source(f"in/{name}", Path("in", name), Path(name)) for name in (f"deep/{i}.jpg" for i in range(400))]


@pytest.mark.parametrize("count", [1, 2, 7, 16])
def test_each_picture_is_in_exactly_one_shard_and_shards_are_alike_in_size(count):
    held = [[source for source in SOURCES if Shard(i + 1, count).holds(source)] for i in range(count)]
    assert sorted((source for part in held for source in part), key=SOURCES.index) == SOURCES
    assert max(map(len, held)) < 2 * len(SOURCES) / count + 10


def test_a_shard_depends_on_the_path_below_the_named_folder_alone():
    held = [source.relative.name for source in SOURCES if Shard(3, 16).holds(source)]
    assert held[:4] == ["7.jpg", "27.jpg", "37.jpg", "46.jpg"]  # a later release must not move pictures
    elsewhere = [dataclasses.replace(source, name="x", file=Path("/mnt/x")) for source in SOURCES]
    assert [source.relative.name for source in elsewhere if Shard(3, 16).holds(source)] == held


@pytest.mark.parametrize("text", ["3", "0/16", "17/16", "3/0", "-1/2", "a/b", "3/16/2", "3.0/16", ""])
def test_other_texts_are_refused(text):
    assert Shard.parse("3/16") == Shard(3, 16)
    with pytest.raises(argparse.ArgumentTypeError, match="a shard is like 3/16"):
        Shard.parse(text)
