"""Points trained on the workers of a Dask scheduler that is there already."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any

from .config import Config
from .data import Data
from .points import Point

if TYPE_CHECKING:
    import distributed

    from .measure import Trained

CONNECTED_WITHIN = 10  # seconds
WORKERS_WITHIN = 60
ONE_AT_A_TIME = threading.Lock()  # of a worker with several threads: Keras's seed and session are the process's


def trained_on_workers(
    points: Sequence[Point], config: Config, data: Data, address: str
) -> Iterator[tuple[Point, Trained]]:
    """What training and exporting each point gives, in the order in which they are done.

    A worker that is lost loses the point that it was at, which another one starts anew.

    Raises:
        ValueError: if no scheduler answers at the address or it has no workers; if a worker cannot import the network;
            at the end, naming the points that brought down one worker after the other; if the scheduler is lost.
        ImportError: naming the extra to install.
    """
    with connected(address) as client:
        check_workers(client, config)
        # A task's result, not scattered data: should its worker be lost, another one has it from the scheduler.
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sending large graph")  # once for all points
            held = client.submit(same, data, key=f"data-{data.sha256}")
        yield from results(client, train_alone, points, config, held)


def connected(address: str) -> distributed.Client:
    """A client of the scheduler at an address. Raises: ValueError if none answers; ImportError naming the extra."""
    try:
        import distributed
    except ImportError as error:
        raise ImportError(
            "--scheduler needs Dask. Install it with: pip install 'keras-ternary-spike[distributed]'"
        ) from error
    try:
        return distributed.Client(address, timeout=CONNECTED_WITHIN, set_as_default=False)
    except (OSError, ValueError) as error:  # a timeout is an OSError too
        raise ValueError(
            f"No Dask scheduler answers at {address}. Start one with `dask scheduler`, workers with "
            f"`dask worker ADDRESS --nthreads 1`, and give its address, such as tcp://10.0.0.1:8786"
        ) from error


def check_workers(client: distributed.Client, config: Config) -> None:
    """Raises: ValueError if there is no worker, or one that cannot import the network."""
    try:
        client.wait_for_workers(1, timeout=WORKERS_WITHIN)
    except TimeoutError as error:
        raise ValueError(
            f"The scheduler at {client.scheduler.address} has no workers. Start some: "
            f"dask worker {client.scheduler.address} --nthreads 1"
        ) from error
    for worker, reason in client.run(why_not, config.settings["network"]["name"]).items():
        if reason:
            raise ValueError(f"The worker {worker} cannot build the network: {reason}")


def results(
    client: distributed.Client, function: Callable[..., Any], points: Sequence[Point], *arguments: Any
) -> Iterator[tuple[Point, Any]]:
    """`function(point, *arguments)` of every point, as they are done. Raises: ValueError as `trained_on_workers`."""
    import distributed

    futures = {client.submit(function, point, *arguments, pure=False): point for point in points}
    fatal = []
    for future in distributed.as_completed(futures, loop=client.loop):
        point = futures.pop(future)
        try:
            found = future.result()
        except distributed.KilledWorker:
            fatal.append(point.title)
            continue
        except (CancelledError, distributed.client.FutureCancelledError) as error:
            raise ValueError(
                "The scheduler was lost. Every finished point is on disk: run the same command again."
            ) from error
        future.release()  # workers need not keep what is here
        yield point, found
    if fatal:
        raise ValueError(
            f"{len(fatal)} points brought down one worker after the other, as with too little memory, or waited there: "
            f"{'; '.join(fatal)}. All others are on disk."
        )


def same(data: Data) -> Data:
    return data


def train_alone(point: Point, config: Config, data: Data) -> Trained:
    """On a worker."""
    from .measure import train_point

    with ONE_AT_A_TIME:
        return train_point(point, config, data)


def why_not(name: str) -> str | None:
    """Why a worker cannot import the function of a network; None if it can."""
    from .network import builder

    try:
        builder(name)
    except ValueError as error:
        return str(error)
    return None
