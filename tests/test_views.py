"""Views of pictures: moved and mirrored as said, reflected at the edges."""

import json
from dataclasses import asdict

import numpy as np
import pytest

from mialib.shadow.views import View, views

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (3, 7, 5), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (3, 6, 8, 3), dtype=np.uint8)


def by_padding(view, x):
    """The same view another way: mirror, pad by reflection, cut out."""
    x = x[:, :, ::-1] if view.flip else x
    far = max(abs(view.down), abs(view.right))
    padded = np.pad(x, [(0, 0), (far, far), (far, far), *[(0, 0)] * (x.ndim - 3)], mode="reflect")
    return padded[:, far - view.down :, far - view.right :][:, : x.shape[1], : x.shape[2]]


@pytest.mark.parametrize("x", [GREY, COLOUR], ids=["grey", "colour"])
def test_a_view_is_the_picture_mirrored_then_padded_and_cut(x):
    for view in views(flips=True, shift=4):
        seen = view(x)
        assert seen.dtype == np.uint8 and seen.shape == x.shape
        np.testing.assert_array_equal(seen, by_padding(view, x))


def test_down_and_right_are_down_and_right():
    x = np.arange(12, dtype=np.uint8).reshape(1, 3, 4)
    assert View(down=1)(x)[0, 1:].tolist() == x[0, :-1].tolist()
    assert View(down=1)(x)[0, 0].tolist() == x[0, 1].tolist()  # reflected: the edge is not repeated
    assert View(right=-1)(x)[0, :, :-1].tolist() == x[0, :, 1:].tolist()
    assert View(flip=True, right=1)(x)[0, 0].tolist() == [2, 3, 2, 1]  # mirrored first, then moved


def test_the_plain_picture_comes_first_and_all_views_differ():
    for flips, shift, n in [(True, 4, 18), (False, 4, 9), (True, 0, 2), (False, 0, 1)]:
        found = views(flips, shift)
        assert found[0] == View() and len(found) == len(set(found)) == n
        assert len({view(COLOUR).tobytes() for view in found}) == n
    np.testing.assert_array_equal(View()(COLOUR), COLOUR)


def test_a_view_changes_no_picture_of_the_data_set():
    before = COLOUR.copy()
    View()(COLOUR)[:] = 0
    np.testing.assert_array_equal(COLOUR, before)


def test_a_view_is_written_as_json_and_read_back():
    view = View(True, np.int64(-4), 4)
    assert View(**json.loads(json.dumps(asdict(view)))) == view


def test_a_picture_too_small_to_reflect_is_refused():
    with pytest.raises(ValueError, match="right must be less than the picture's 5 pixels, got -5"):
        View(right=-5)(GREY)
    assert View(right=-4)(GREY).shape == GREY.shape
