"""Each row of CIFAR goes the whole way on made images: data, training, export, certificate."""

import pytest

ROWS = [
    *(
        f"{data}-{network}-{spikes}"
        for data in ("cifar10", "cifar100")
        for network in ("resnet20-t2", "resnet20-t4", "resnet19-t1", "resnet19-t2")
        for spikes in ("binary", "ternary", "trainable")
    ),
    *(f"{data}-{network}-t1-graded" for data in ("cifar10", "cifar100") for network in ("resnet20", "resnet19")),
]


@pytest.mark.extended
@pytest.mark.parametrize("row", ROWS)
def test_a_dry_run_goes_the_whole_way(row, eagerly, dry_run):
    dry_run(row)


@pytest.mark.extended
def test_no_row_is_missing(paper):
    assert sorted(ROWS) == sorted(row.name for row in paper.ROWS.values() if row.data in ("cifar10", "cifar100"))
