"""Each row of ImageNet and of CIFAR10-DVS goes the whole way on made images, one of them as graphs."""

import pytest

from paper_rows import ROWS


@pytest.mark.extended
@pytest.mark.parametrize("row", [name for name, row in ROWS.items() if row.data not in ("cifar10", "cifar100")])
def test_a_dry_run_goes_the_whole_way(row, eagerly, dry_run):
    dry_run(row)


@pytest.mark.extended
def test_a_dry_run_as_users_start_it(dry_run, capsys):
    results = dry_run("cifar10_dvs-resnet19-t10-ternary")
    assert results["settings"]["augmentations"] == ["flip_events", "roll_events"]
    # A dry run measures nothing.
    assert f"{results['row']:36} {'-':>12} {'-':>26}" in capsys.readouterr().out
