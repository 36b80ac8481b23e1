"""Time series drawn as small pictures."""

import numpy as np

from likewise.report.curves import COLOURS, curves


def darkest(picture):
    """The row of each column's darkest pixel, -1 where the column is white."""
    grey = picture.astype(int).sum(0)
    return np.where(grey.min(0) < 700, grey.argmin(0), -1)


def test_a_line_rises_from_left_to_right():
    up, down = curves(np.stack([np.arange(20.0), np.arange(20.0)[::-1]])[..., None])
    assert up.shape == (3, 64, 64)
    rows = darkest(up)[4:60]
    assert (np.diff(rows) <= 0).all()
    assert rows[0] > 55
    assert rows[-1] < 8
    assert (np.diff(darkest(down)[4:60]) >= 0).all()


def test_missing_values_leave_a_gap_and_a_lone_value_a_dot():
    x = np.zeros((1, 21, 1))
    x[0, 8:13] = np.nan
    x[0, 10] = 0.0
    columns = darkest(curves(x)[0]) >= 0
    assert columns[5:20].all()
    assert not columns[27:30].any()
    assert columns[31:34].any()


def test_channels_have_colours_and_one_scale_in_all_pictures():
    x = np.zeros((2, 10, 2))
    x[0, :, 0], x[1, :, 0] = 1.0, 5.0
    x[..., 1] = np.nan  # never there: nothing to draw
    low, high = curves(x)
    assert darkest(low)[30] > 55
    assert darkest(high)[30] < 8
    assert tuple(low[:, darkest(low)[30], 30]) == COLOURS[0]
    assert curves(np.zeros((0, 5, 1))).shape == (0, 3, 64, 64)
    assert curves(np.full((1, 1, 1), 2.0)).shape == (1, 3, 64, 64)
