"""The command `keras-ternary-spike sweep`: every point of a grid, from training to the Pareto fronts."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .cluster import trained_on_workers
from .config import Config, read_config
from .data import Data, load_data
from .folder import Folder, open_folder
from .means import COLUMNS, means, means_text
from .picture import check_matplotlib, draw
from .points import Point
from .table import Row, rows, to_csv

if TYPE_CHECKING:
    from .measure import Trained

CSV, MEANS, PNG = "sweep.csv", "means.csv", "sweep.png"


def run_sweep(path: Path, output: Path, *, scheduler: str | None = None) -> None:
    """Runs the sweep of a TOML file. Points that `output` already holds are not trained again.

    Args:
        path: Of the configuration.
        output: Folder of results; created if missing.
        scheduler: Address of a Dask scheduler, whose workers train the points; this machine measures their files.
            Default: None, all on this machine, point after point.

    Raises:
        ValueError: the configuration, the data, the network or the folder are not what they must be; no scheduler
            answers; at the end, if points could not be exported.
        OSError: a file cannot be read or written. Every result on disk stays whole: run the same command again.
        ImportError: naming the extra to install.
    """
    config = read_config(path)
    check_matplotlib()
    data = load_data(config)
    from .measure import ram_source
    from .network import check_network

    check_network(config, data)
    folder = open_folder(output, config, data_sha256=data.sha256, ram=ram_source())
    waiting = [point for point in config.points if not folder.holds(point)]
    print(f"{path}: {len(config.points)} points, {len(config.points) - len(waiting)} of them already in {output}")
    run_points(waiting, config, data, folder, scheduler=scheduler)
    table = report(config, folder)
    if several_seeds(config):
        print(means_text(table))
    fail_for_failed(config, folder)


def run_points(
    waiting: Sequence[Point], config: Config, data: Data, folder: Folder, *, scheduler: str | None = None
) -> None:
    """Trains and measures points; after each, its result, the CSV and the PNG are on disk, and a line is printed."""
    from .measure import finish_point

    start, finished = time.monotonic(), len(config.points) - len(waiting)
    for number, (point, trained) in enumerate(trained_points(waiting, config, data, scheduler), start=1):
        result = finish_point(point, trained, folder)
        folder.write(point, result)
        report(config, folder)
        spent = time.monotonic() - start
        left = spent / number * (len(waiting) - number)
        line = f"[{finished + number}/{len(config.points)}] {point.title}: {summary(result)}"
        print(f"{line}; about {duration(left)} left", flush=True)


def trained_points(
    waiting: Sequence[Point], config: Config, data: Data, scheduler: str | None
) -> Iterator[tuple[Point, Trained]]:
    """Every point with what training gave, here in order, on a scheduler's workers in the order in which they end."""
    if waiting and scheduler is not None:
        return trained_on_workers(waiting, config, data, scheduler)
    from .measure import train_point

    return ((point, train_point(point, config, data)) for point in waiting)


def report(config: Config, folder: Folder) -> list[Row]:
    """Writes the CSV and the PNG of all points that are on disk, and of several seeds their means, which it returns."""
    table = rows(config.points, {point: folder.read(point) for point in config.points if folder.holds(point)})
    folder.write_file(CSV, to_csv(table).encode())
    together = means(table)
    if several_seeds(config):
        folder.write_file(MEANS, to_csv(together, COLUMNS).encode())
    folder.write_file(PNG, draw(together))
    return together


def several_seeds(config: Config) -> bool:
    return len(config.settings["grid"]["seed"]) > 1


def fail_for_failed(config: Config, folder: Folder) -> None:
    """Says where the results are. Raises: ValueError naming the points that failed."""
    failed = [point.title for point in config.points if "error" in folder.read(point)]
    for name in (CSV, *[MEANS] * several_seeds(config), PNG):
        print(folder.path / name)
    if failed:
        raise ValueError(
            f"{len(failed)} of {len(config.points)} points failed, see the column `error` of {folder.path / CSV}: "
            f"{'; '.join(failed)}. To try one again, delete its .json file."
        )


def summary(result: dict) -> str:
    """What a finished point is worth, in one line."""
    if "error" in result:
        return f"failed: {result['error']}"
    accuracies = f"{100 * result['accuracy']:.2f} % (Keras {100 * result['keras_accuracy']:.2f} %)"
    latency = f"{result['latency_ratio'] * result['reference_ms']:.3g} ms"
    return f"{accuracies}, {latency}, RAM {result['ram_bytes']:,}, flash {result['flash_bytes']:,} bytes"


def duration(seconds: float) -> str:
    """Such as "8 s", "3 min 20 s" or "2 h 5 min"."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
