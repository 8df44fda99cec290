"""PyTorch checkpoints: tensors by name, read without running what a pickle may hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

WRAPPERS = ("state_dict", "model_state_dict", "model", "net")  # keys under which training scripts keep the weights
PARALLEL = "module."  # DataParallel puts it in front of every name
COUNTER = "num_batches_tracked"  # of batch normalization, of no use in inference
SHOWN = 3


class Weights:
    """The arrays of a checkpoint, float32 by name, each of which is to be taken once."""

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        self._arrays = {name: array for name, array in arrays.items() if name.split(".")[-1] != COUNTER}
        self._left = {*self._arrays}

    def __contains__(self, name: str) -> bool:
        return name in self._arrays

    def some(self) -> str:
        """The first names."""
        return f"{', '.join(map(repr, [*self._arrays][:SHOWN]))}, ..."

    def shape(self, name: str) -> tuple[int, ...]:
        return self._arrays[name].shape

    def take(self, name: str, shape: Sequence[int | None]) -> np.ndarray:
        """An array. shape: its sizes, None where any fits. Raises: ValueError if it is missing or of another shape."""
        if name not in self._arrays:
            raise ValueError(f"The checkpoint must hold {name!r}. It does not: it is of another network.")
        array = self._arrays[name]
        if len(array.shape) != len(shape) or any(b not in (None, a) for a, b in zip(array.shape, shape, strict=True)):
            wanted = ", ".join("any" if size is None else str(size) for size in shape)
            raise ValueError(f"{name!r} must have the shape ({wanted}) here. Received: {array.shape}")
        self._left.discard(name)
        return array

    def number(self, name: str, *, default: float) -> float:
        """One number, in whatever shape; `default` if there is none. Raises: ValueError if there are several."""
        if name not in self._arrays:
            return default
        array = self._arrays[name]
        if array.size != 1:
            raise ValueError(f"{name!r} must be one number. Received: the shape {array.shape}")
        self._left.discard(name)
        return float(array.ravel()[0])

    def check_all_taken(self) -> None:
        """Raises ValueError naming the first array that no part of the network has taken."""
        for name in self._arrays:
            if name in self._left:
                raise ValueError(
                    f"Cannot import {name!r} of shape {self.shape(name)}: the network known here has no such weight."
                )


def read_checkpoint(checkpoint: str | Path | Mapping[str, Any]) -> Weights:
    """The weights of a .pt or .pth file, or of a state dict.

    Raises:
        ValueError: if it holds something else than tensors by name.
        ImportError: if torch is not installed and `checkpoint` is a path.
    """
    content = _load(Path(checkpoint)) if isinstance(checkpoint, str | Path) else checkpoint
    for key in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not content or not all(_is_tensor(value) for value in content.values()):
        raise ValueError(
            f"A checkpoint must be a state dict, tensors by name, as torch.save(net.state_dict(), path) writes it. "
            f"Received: {type(content).__name__}"
        )
    return Weights({str(name).removeprefix(PARALLEL): _array(value) for name, value in content.items()})


def _load(path: Path) -> Any:
    """Tensors only: any other pickle could run code of whoever wrote it."""
    try:
        import torch
    except ImportError as error:
        raise ImportError("Checkpoints of PyTorch need torch: pip install 'keras-ternary-spike[torch]'") from error
    import pickle

    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError) as error:
        reason = str(error).split("\n")[0]
        raise ValueError(
            f"Cannot read {path}: only files of tensors are read, as torch.save(net.state_dict(), path) writes them, "
            f"because a pickle of more can run any code. {reason}"
        ) from error


def _is_tensor(value: Any) -> bool:
    return hasattr(value, "shape") and hasattr(value, "dtype")


def _array(value: Any) -> np.ndarray:
    value = value.detach().cpu().float().numpy() if hasattr(value, "detach") else value
    return np.asarray(value, np.float32)
