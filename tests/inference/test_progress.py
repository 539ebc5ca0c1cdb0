import numpy as np
import pytest

from swinir_jax import SwinIRConfig
from swinir_jax.inference.progress import Pace, Progress, measured_pace, pixel_products

CONFIG = SwinIRConfig(upscale=2, upsampler="pixelshuffledirect", embed_dim=4, depths=(2,), num_heads=(1,))


class Clock:
    """A clock that the test advances."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_a_single_tile_advances_by_time_until_it_is_overdue(clock):
    progress = Progress(20.0, clock)
    assert progress.estimate() == (None, 20.0)  # the networks do not run yet
    clock.now += 3
    progress.advance(0, 0)  # they are loaded, and compile
    assert progress.estimate() == (None, 20.0)
    clock.now += 3
    progress.advance(0, 1)
    clock.now += 5
    assert progress.estimate() == (0.25, 15.0)
    clock.now += 30
    assert progress.estimate() == (1.0, None)
    progress.advance(1, 1)
    assert (progress.estimate(), progress.seconds) == ((1.0, None), 35.0)


def test_finished_tiles_replace_the_expectation(clock):
    progress = Progress(None, clock)
    progress.advance(0, 4)
    assert progress.estimate() == (None, None)
    clock.now += 10
    progress.advance(1, 4)
    assert progress.estimate() == (0.25, 30.0)
    clock.now += 5
    assert progress.estimate() == (0.375, 25.0)
    clock.now += 50  # the second tile takes longer, and does not run into the third
    assert progress.estimate() == (0.5, 20.0)


def test_tiles_count_by_their_work(clock):
    progress = Progress(170.0, clock)
    progress.advance(0, 2, [1.0, 16.0])
    clock.now += 8
    progress.advance(1, 2)
    assert progress.estimate() == (1 / 17, 128.0)


def test_tiles_of_an_unfinished_result_took_no_time(clock):
    progress = Progress(100.0, clock)
    progress.advance(6, 10)
    assert progress.estimate() == (0.6, 40.0)
    clock.now += 2
    progress.advance(1, 10)
    assert progress.estimate() == (0.7, 6.0)


def test_pace_is_that_of_all_pictures_by_their_work():
    pace = Pace()
    assert pace.expect(100) is None
    pace = Pace(1.0)
    assert pace.expect(100) == 100.0
    pace.learn(300, 15.0)
    assert pace.expect(20) == 1.0
    pace.learn(100, 25.0)  # a slow small picture changes little
    assert pace.expect(20) == 2.0


def test_products_of_a_pixel_are_those_of_the_matrices():
    c, window = 4, 8
    by_layer = 4 * c * c + 2 * c * (2 * c) + 2 * window**2 * c  # qkv and output; MLP; scores and their sums
    assert pixel_products(CONFIG) == 2 * by_layer + 2 * 9 * c * c


def test_measured_pace_is_half_that_of_a_matrix_product():
    times = iter(np.cumsum([0, 8, 1, 4, 1, 6]))
    assert measured_pace(CONFIG, clock=lambda: next(times)) == 4 / (4096 * 4 * 12) / 0.5
