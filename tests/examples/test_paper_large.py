"""Each row of ImageNet and of CIFAR10-DVS goes the whole way on made images, one of them as graphs."""

import pytest

SPIKES = ("binary", "ternary", "trainable")
ROWS = [
    *(f"imagenet-{network}-t4-{spikes}" for network in ("resnet18", "resnet34") for spikes in SPIKES),
    *(f"imagenet-{network}-t1-graded" for network in ("resnet18", "resnet34")),
    *(f"cifar10_dvs-{network}-t10-{spikes}" for network in ("resnet20", "resnet19") for spikes in (*SPIKES, "graded")),
]


@pytest.mark.extended
@pytest.mark.parametrize("row", ROWS)
def test_a_dry_run_goes_the_whole_way(row, eagerly, dry_run):
    dry_run(row)


@pytest.mark.extended
def test_a_dry_run_as_users_start_it(dry_run, capsys):
    results = dry_run("cifar10_dvs-resnet19-t10-ternary")
    assert results["settings"]["augmentations"] == ["flip_events", "roll_events"]
    # A dry run measures nothing.
    assert f"{results['row']:36} {'-':>12} {'-':>26}" in capsys.readouterr().out


@pytest.mark.extended
def test_no_row_is_missing(paper):
    assert sorted(ROWS) == sorted(row.name for row in paper.ROWS.values() if row.data in ("imagenet", "cifar10_dvs"))
