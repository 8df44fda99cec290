"""The table of a sweep, its Pareto fronts and their picture."""

import csv
import io

import pytest
from scipy import stats

from digits_sweep import PNG_SIGNATURE
from keras_ternary_spike.export.sweep import picture as sweep_picture
from keras_ternary_spike.export.sweep import table as sweep_front
from keras_ternary_spike.export.sweep.means import COLUMNS, STUDENT, half_interval, means, means_text
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
    together = means(rows)
    assert sweep_picture.draw(together).startswith(PNG_SIGNATURE)
    assert sweep_picture.headline(together) == (
        "4 points, 1 failed, red: Pareto front; T: timesteps; all with decay 0.5, width 1, pruning 0, kernel bits 8"
    )
    assert sweep_picture.label(together[1], sweep_picture.varied(together)) == "T2"


def test_points_at_one_place_share_a_label():
    lists = {"timesteps": [1, 2], "decay": [0.5], "width": [1.0], "pruning": [0.0], "kernel_bits": [8, "ternary"]}
    points = grid(lists)
    numbers = [(0.8, 30), (0.8, 30), (0.9, 40), (0.5, 20)]
    found = {p: result(a, 1, 2, ram) for p, (a, ram) in zip(points, numbers, strict=True)}
    rows = means(sweep_front.rows(points, found))
    assert sweep_picture.labels(rows, "ram_bytes", sweep_picture.varied(rows)) == {
        (30, 80): "T1 k8\nT1 k ternary",
        (40, 90): "T2 k8",
        (20, 50): "T2 k ternary",
    }


def test_a_picture_without_a_single_good_point_can_be_drawn():
    points = grid({"timesteps": [1], "decay": [0.5], "width": [1.0], "pruning": [0.0], "kernel_bits": [8]})
    assert sweep_picture.draw(means(sweep_front.rows(points, {points[0]: {"error": "no"}}))).startswith(PNG_SIGNATURE)


def test_half_an_interval_is_that_of_student():
    quantiles = [round(float(stats.t.ppf(0.975, degrees)), 3) for degrees in range(1, len(STUDENT) + 1)]
    assert list(STUDENT) == quantiles
    values = [0.9, 0.92, 0.97]
    low, high = stats.t.interval(0.95, 2, loc=sum(values) / 3, scale=stats.sem(values))
    assert half_interval(values) == pytest.approx((high - low) / 2, rel=1e-4)
    assert half_interval([0.5]) is None


def of_seeds(neurons, accuracies):
    """Rows of two neurons and as many seeds as there are accuracies of each; None: the point failed."""
    lists = {"timesteps": [1], "decay": [0.5], "width": [1.0], "pruning": [0.0], "kernel_bits": [8]}
    points = grid({**lists, "neuron": neurons, "seed": list(range(len(accuracies[0])))})
    values = [accuracy for group in accuracies for accuracy in group]
    results = {
        point: {"error": "no"} if accuracy is None else result(accuracy, 1, 2, 30)
        for point, accuracy in zip(points, values, strict=True)
    }
    for point in points:
        if point.neuron == "relu":
            results[point].pop("additions_nonzero")
    return sweep_front.rows(points, results)


def test_seeds_become_a_mean_and_its_interval():
    rows = of_seeds(["binary", "relu"], [(0.8, 0.9, None), (0.7, 0.8, 0.9)])
    binary, relu = means(rows)
    assert (binary["seeds"], binary["failed"], relu["seeds"]) == (2, 1, 3)
    assert binary["accuracy"] == pytest.approx(0.85) and relu["accuracy"] == pytest.approx(0.8)
    assert binary["accuracy_high"] == pytest.approx(
        0.85 + 12.706 * 0.05, rel=1e-4
    )  # s / sqrt(2) of two values 0.1 apart
    assert relu["accuracy_low"] == pytest.approx(0.8 - 4.303 * 0.1 / 3**0.5, rel=1e-4)
    # Who multiplies has no additions alone, and is on no front of them.
    assert (binary["additions_nonzero_front"], relu["additions_nonzero_front"]) == ("yes", "")
    assert (binary["ram_bytes_front"], relu["ram_bytes_front"]) == ("yes", "no")
    assert {*binary} == {*relu} == {*COLUMNS}
    lines = means_text(means(rows)).splitlines()
    assert lines[0].split("  ")[0] == "neuron" and "95 % interval" in lines[0]
    assert lines[1].split()[:4] == ["binary", "2", "85.00", "+-63.53"] and lines[2].split()[-1] == "-"
    assert sweep_picture.draw(means(rows)).startswith(PNG_SIGNATURE)
    assert sweep_picture.headline(means(rows)) == (
        "2 points, red: Pareto front; means of 3 seeds, bars: 95 % interval; all with timesteps 1, decay 0.5, width 1, "
        "pruning 0, kernel bits 8"
    )


def test_a_network_of_which_no_seed_was_exported_keeps_its_reason():
    failed, whole = means(of_seeds(["ternary", "binary"], [(None, None), (0.7, 0.8)]))
    assert (failed["error"], failed["seeds"], failed["accuracy"]) == ("no", 0, "")
    assert whole["error"] == ""
    assert "failed" in means_text([failed, whole])
