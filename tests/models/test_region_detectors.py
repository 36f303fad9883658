"""R-CNN, Fast and Faster R-CNN: published counts, torchvision's outputs, one picture by heart."""

import pytest
import torch

from detecting import BOXES, LABELS, learn, map50, picture
from saccade.models import catalog, faster_rcnn, rcnn
from saccade.ops.boxes import iou
from saccade.ops.proposals import grouped
from saccade.protocols import Detector
from saccade.regions import RegionPool


def test_faster_rcnn_has_the_published_parameters():
    with torch.device("meta"):
        pyramid = catalog.network("faster_rcnn", num_classes=90)
        classic = catalog.network("faster_rcnn_classic", num_classes=20)
    assert isinstance(pyramid, Detector)
    assert sum(each.numel() for each in pyramid.parameters()) == 41_808_406
    assert sum(each.numel() for each in classic.parameters()) == 137_078_239


def test_torchvisions_weights_load_and_give_its_outputs():
    from torchvision.models.detection import fasterrcnn_resnet50_fpn
    from torchvision.models.detection.image_list import ImageList

    torch.manual_seed(0)
    theirs = fasterrcnn_resnet50_fpn(weights=None, weights_backbone=None).eval()
    ours = catalog.network("faster_rcnn", num_classes=90).eval()
    ours.load_state_dict(faster_rcnn.from_torchvision(theirs.state_dict()))
    images = torch.rand(1, 3, 96, 128)
    with torch.no_grad():
        maps = theirs.backbone(images)
        regions, _ = theirs.rpn(ImageList(images, [(96, 128)]), maps)
        theirs.roi_heads.score_thresh = 0.001
        wanted, _ = theirs.roi_heads(maps, regions, [(96, 128)])
        [found] = ours.detect(images, confidence=0.001)
    assert len(found.boxes)
    assert torch.allclose(found.boxes, wanted[0]["boxes"], atol=1e-3)
    assert torch.allclose(found.scores, wanted[0]["scores"], atol=1e-5)
    assert torch.equal(found.labels + 1, wanted[0]["labels"])


@pytest.mark.parametrize("wanted", [True, False], ids=["gradient", "plain"])
def test_regions_are_read_as_torchvision_reads_them(wanted):
    from torchvision.ops import MultiScaleRoIAlign

    generator = torch.Generator().manual_seed(0)
    maps = {
        str(place): torch.randn(2, 6, 256 // stride, 320 // stride, generator=generator)
        for place, stride in enumerate([4, 8, 16, 32])
    }
    for each in maps.values():
        each.requires_grad_(wanted)
    corners = torch.rand(2, 90, 2, generator=generator) * 200
    boxes = list(
        torch.cat([corners, corners + torch.rand(2, 90, 2, generator=generator) ** 3 * 400], 2)
    )
    sizes = [(256, 320)] * 2
    ours = RegionPool(list(maps), 7)(maps, boxes, sizes)
    theirs = MultiScaleRoIAlign(list(maps), output_size=7, sampling_ratio=2)(maps, boxes, sizes)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("name", "steps"), [("rcnn", 40), ("fast_rcnn", 80), ("faster_rcnn", 40)])
def test_one_picture_is_learnt_by_heart(name, steps):
    torch.manual_seed(0)
    # group norm: batch statistics of a single picture tell nothing
    detector = catalog.network(name, backbone="mobilenet_v2_035", norm="group")
    detector.roi_heads.fg_bg_sampler.batch_size_per_image = 32
    losses = learn(detector, steps=steps, rate=2e-3)
    assert losses[-1] < losses[0] / 2
    assert map50(detector) == pytest.approx(1.0)


@pytest.mark.parametrize("name", ["rcnn", "fast_rcnn", "faster_rcnn"])
def test_a_picture_is_answered_alike_in_a_batch_and_region_by_region(name, monkeypatch):
    torch.manual_seed(0)
    detector = catalog.network(name, backbone="mobilenet_v2_035", norm="group").eval()
    images = torch.cat([picture(), picture().flip(3)])
    together = detector.detect(images, confidence=0.0)
    monkeypatch.setattr(rcnn, "AT_ONCE", 7)
    for row, found in enumerate(together):
        [alone] = detector.detect(images[row : row + 1], confidence=0.0)
        assert torch.allclose(alone.scores, found.scores, atol=1e-5)
        assert torch.allclose(alone.boxes, found.boxes, atol=1e-2)


def test_a_picture_without_objects_is_only_background():
    torch.manual_seed(0)
    detector = catalog.network("faster_rcnn", backbone="mobilenet_v2_035", norm="group")
    with torch.no_grad():
        losses, found = detector.judge(
            picture().repeat(2, 1, 1, 1),
            [torch.zeros(0, 4), BOXES],
            [torch.zeros(0, dtype=torch.int64), LABELS],
        )
    assert losses.shape == (2,)
    assert losses.isfinite().all()
    assert len(found) == 2
    assert detector.roi_heads.training  # as it was


def test_every_object_has_a_proposal():
    boxes = grouped(picture()[0])
    assert float(iou(BOXES, boxes).max(1).values.min()) >= 0.5
    assert (boxes[:, 2:] > boxes[:, :2]).all()
    assert (boxes <= 96).all()
    assert grouped(torch.zeros(3, 6, 6)).tolist() == [[0, 0, 6, 6]]


def test_scores_and_boxes_are_in_full_precision_under_autocast():
    torch.manual_seed(0)
    model = catalog.network("faster_rcnn", num_classes=2, backbone="resnet18").eval()
    images = torch.rand(1, 3, 96, 96)
    with torch.no_grad():
        plain = model.detect(images, confidence=0.0)[0]
        with torch.autocast("cpu", dtype=torch.bfloat16):
            mixed = model.detect(images, confidence=0.0)[0]
            losses = model.training_loss(images, [BOXES[:1]], [LABELS[:1]])
    assert mixed.boxes.dtype == mixed.scores.dtype == torch.float32
    assert all(value.dtype == torch.float32 for value in losses.values())
    assert len(mixed.boxes) and abs(float(mixed.scores.max() - plain.scores.max())) < 0.05
