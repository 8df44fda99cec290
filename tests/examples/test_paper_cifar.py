"""Each row of CIFAR goes the whole way on made images: data, training, export, certificate.

Rows are in two files, one for each of two test processes.
"""

import pytest

from paper_rows import ROWS


@pytest.mark.extended
@pytest.mark.parametrize("row", [name for name, row in ROWS.items() if row.data in ("cifar10", "cifar100")])
def test_a_dry_run_goes_the_whole_way(row, eagerly, dry_run):
    dry_run(row)
