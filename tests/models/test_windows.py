import jax.numpy as jnp
import numpy as np
import pytest

from swinir_jax.models.windows import (
    relative_position_index,
    roll,
    shift_mask,
    shift_regions,
    window_partition,
    window_reverse,
)


def test_window_reverse_inverts_window_partition():
    x = jnp.arange(2 * 16 * 24 * 3).reshape(2, 16, 24, 3)
    np.testing.assert_array_equal(window_reverse(window_partition(x, 8), 8), x)


def test_windows_come_in_raster_order():
    x = jnp.arange(4 * 6).reshape(1, 4, 6, 1)
    np.testing.assert_array_equal(window_partition(x, 2)[0, 0, 1, :, 0], [2, 3, 8, 9])


def test_partition_refuses_sides_that_do_not_divide():
    with pytest.raises(ValueError, match="9x8"):
        window_partition(jnp.zeros((1, 9, 8, 1)), 8)


@pytest.mark.parametrize("shift", [-3, 0, 2])
def test_roll_moves_rows_and_columns_cyclically(shift):
    x = np.arange(2 * 5 * 7 * 3).reshape(2, 5, 7, 3)
    np.testing.assert_array_equal(roll(jnp.asarray(x), shift), np.roll(x, (shift, shift), axis=(1, 2)))


def test_shift_regions_and_mask_by_hand():
    # 4x4 pixels, windows of 2 shifted by 1: after the roll, the last row and column come from the other side.
    regions = shift_regions(4, 4, 2, 1)
    np.testing.assert_array_equal(regions, [[[0, 0, 0, 0], [1, 2, 1, 2]], [[3, 3, 6, 6], [4, 5, 7, 8]]])
    mask = shift_mask(regions)
    assert not mask[0, 0].any()
    np.testing.assert_array_equal(mask[0, 1], -100 * (np.indices((4, 4)).sum(axis=0) % 2))
    np.testing.assert_array_equal(mask[1, 1], -100 * (1 - np.eye(4)))


def test_relative_position_index_by_hand():
    expected = [[4, 3, 1, 0], [5, 4, 2, 1], [7, 6, 4, 3], [8, 7, 5, 4]]
    np.testing.assert_array_equal(relative_position_index(2), expected)
