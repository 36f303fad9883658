"""Maps of layers by epochs."""

from __future__ import annotations

import re
from typing import Any

from saccade.report.health import MOST, maps


def lines(layers: int, epochs: int, **more: float) -> list[dict[str, Any]]:
    return [
        {"epoch": float(e), "layer": f"conv<{n}>", "gradient_norm": 10.0**-n, **more}
        for e in range(1, epochs + 1)
        for n in range(layers)
    ]


def test_a_cell_for_each_layer_and_epoch_with_strength_by_logarithm() -> None:
    (found,) = maps(lines(3, 4))
    assert found.title == "Gradients" and (found.low, found.high) == ("0.01", "1")
    assert found.chart.count("<rect") == 12
    strengths = [float(text) for text in re.findall(r'fill-opacity="([\d.]+)"', found.chart)]
    assert strengths[:4] == [1.0] * 4 and strengths[4:8] == [0.53] * 4
    assert "conv&lt;0&gt;" in found.chart and "conv<0>" not in found.chart


def test_shares_of_nothing_are_left_out_and_others_drawn() -> None:
    assert [m.title for m in maps(lines(2, 2, dead=0.0, twins=0.5))] == [
        "Gradients",
        "Symmetric units",
    ]
    assert maps([]) == []


def test_large_networks_and_odd_values_are_drawn_too() -> None:
    (found,) = maps(lines(200, 90))
    assert found.chart.count("<rect") == MOST * MOST
    odd = [*lines(1, 1), {"epoch": 2.0, "layer": "conv<0>", "gradient_norm": 0.0}]
    odd.append({"epoch": 3.0, "layer": "conv<0>", "gradient_norm": float("inf")})
    assert maps(odd)[0].chart.count("<rect") == 3
