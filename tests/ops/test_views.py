from __future__ import annotations

import torch

from saccade.ops.views import views_of


def test_shifted_views_are_the_picture_a_pixel_further() -> None:
    inputs = torch.arange(2 * 1 * 4 * 5, dtype=torch.float32).reshape(2, 1, 4, 5)
    plain, later, earlier = views_of(inputs, "shift")
    assert plain is inputs
    assert torch.equal(later[..., 1:, 1:], inputs[..., :-1, :-1])
    assert torch.equal(earlier[..., :-1, :-1], inputs[..., 1:, 1:])
    # the border that came in is the nearest pixel
    assert torch.equal(later[..., 0, 1:], inputs[..., 0, :-1])


def test_mirrored_views_follow_the_others() -> None:
    inputs = torch.rand(1, 3, 6, 6)
    views = views_of(inputs, "mirror+shift")
    assert len(views) == 6
    for view, mirrored in zip(views[:3], views[3:], strict=True):
        assert torch.equal(mirrored, view.flip(3))
    assert [len(views_of(inputs, which)) for which in ("plain", "mirror", "shift")] == [1, 2, 3]
