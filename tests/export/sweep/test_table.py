"""The table of a sweep, its Pareto fronts and their picture."""

import csv
import io

from digits_sweep import PNG_SIGNATURE
from keras_ternary_spike.export.sweep import picture as sweep_picture
from keras_ternary_spike.export.sweep import table as sweep_front
from keras_ternary_spike.export.sweep.points import grid


def test_the_front_holds_whatever_nothing_else_beats():
    costs = [(0.9, 5), (0.9, 4), (0.8, 4), (0.95, 9), (0.7, 1), (0.7, 1), (0.95, 10), (0.6, 2)]
    points = [{"accuracy": accuracy, "ram_bytes": cost} for accuracy, cost in costs]
    assert sweep_front.front(points, "ram_bytes") == [False, True, False, True, True, True, False, False]


def result(accuracy, ratio, reference_ms, ram):
    ratios = {"latency_ratio": ratio, "latency_ratio_low": ratio / 2, "latency_ratio_high": ratio * 2}
    sizes = {"ram_bytes": ram, "flash_bytes": 10 * ram, "gzip_bytes": 10 * ram, "additions_nonzero": 100 - ram}
    return {"accuracy": accuracy, **ratios, "reference_ms": reference_ms, **sizes}


def test_the_table_scales_latencies_by_the_median_of_the_reference_and_marks_each_front():
    points = grid({"timesteps": [1, 2, 3, 4], "decay": [0.5], "width": [1.0], "pruning": [0.0], "kernel_bits": [8]})
    # The second point was measured in a slow moment: its reference took ten times as long, its ratio is what it is.
    results = dict(zip(points, [result(0.8, 1, 2, 30), result(0.9, 2, 20, 40), result(0.7, 0.5, 2, 35)], strict=False))
    results[points[3]] = {"error": "the loss must stay a number"}
    rows = sweep_front.rows(points, results)
    assert [row["latency_ms"] for row in rows] == [2, 4, 1, ""]
    assert [row["latency_low_ms"] for row in rows] == [1, 2, 0.5, ""]
    assert [row["latency_ms_front"] for row in rows] == ["yes", "yes", "yes", ""]
    assert [row["ram_bytes_front"] for row in rows] == ["yes", "yes", "no", ""]
    assert [row["flash_bytes_front"] for row in rows] == ["yes", "yes", "no", ""]
    assert [row["additions_nonzero_front"] for row in rows] == ["no", "yes", "no", ""]
    written = list(csv.DictReader(io.StringIO(sweep_front.to_csv(rows))))
    assert [row["timesteps"] for row in written] == ["1", "2", "3", "4"]
    assert [row["error"] for row in written] == ["", "", "", "the loss must stay a number"]
    assert sweep_picture.draw(rows).startswith(PNG_SIGNATURE)
    assert sweep_picture.headline(rows) == (
        "4 points, 1 failed, red: Pareto front; T: timesteps; all with decay 0.5, width 1, pruning 0, kernel bits 8"
    )
    assert sweep_picture.label(rows[1], sweep_picture.varied(rows)) == "T2"


def test_points_at_one_place_share_a_label():
    lists = {"timesteps": [1, 2], "decay": [0.5], "width": [1.0], "pruning": [0.0], "kernel_bits": [8, "ternary"]}
    points = grid(lists)
    numbers = [(0.8, 30), (0.8, 30), (0.9, 40), (0.5, 20)]
    rows = sweep_front.rows(points, {p: result(a, 1, 2, ram) for p, (a, ram) in zip(points, numbers, strict=True)})
    assert sweep_picture.labels(rows, "ram_bytes", sweep_picture.varied(rows)) == {
        (30, 80): "T1 k8\nT1 k ternary",
        (40, 90): "T2 k8",
        (20, 50): "T2 k ternary",
    }


def test_a_picture_without_a_single_good_point_can_be_drawn():
    points = grid({"timesteps": [1], "decay": [0.5], "width": [1.0], "pruning": [0.0], "kernel_bits": [8]})
    assert sweep_picture.draw(sweep_front.rows(points, {points[0]: {"error": "no"}})).startswith(PNG_SIGNATURE)
