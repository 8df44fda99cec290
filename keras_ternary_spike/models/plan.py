"""What every network takes, once: a network is a function of a `Plan`, and users see the plan's arguments."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec

import keras

from ..layers.lif import TernaryLIF
from .blocks import TIMESTEPS, classifier, encoded, firing, image_input, scaled

Arguments = ParamSpec("Arguments")


class Plan:
    """The arguments of a network, which `resnet19` describes, as what is built of them."""

    def __init__(
        self,
        input_shape: Sequence[int],
        classes: int,
        *,
        timesteps: int = TIMESTEPS,
        width: float = 1.0,
        neuron: type[keras.layers.Layer] = TernaryLIF,
        **neuron_options: Any,
    ) -> None:
        self.image = image_input(input_shape)
        self.fire = firing(neuron, neuron_options)
        self._classes, self._timesteps, self._width = classes, timesteps, width

    def channels(self, number: int) -> int:
        """So many channels, times the width."""
        return scaled(number, self._width)

    def encoded(self, current: Any) -> Any:
        """The current of an image at every timestep."""
        return encoded(current, self._timesteps)

    def logits(self, spikes: Any, *, pooling: keras.layers.Layer | None = None) -> Any:
        """See `classifier`."""
        return classifier(spikes, self._classes, pooling=pooling)


def _network(
    plan: Callable[Arguments, Plan],
) -> Callable[[Callable[[Plan], Any]], Callable[Arguments, keras.Model]]:
    """Makes a layout, logits of a plan, a function of the plan's arguments that returns a model of the same name."""
    signature = inspect.signature(plan, eval_str=True).replace(return_annotation=keras.Model)

    def decorate(layout: Callable[[Plan], Any]) -> Callable[Arguments, keras.Model]:
        @functools.wraps(layout)
        def build(*args: Arguments.args, **kwargs: Arguments.kwargs) -> keras.Model:
            given = signature.bind(*args, **kwargs)
            planned = plan(*given.args, **given.kwargs)
            return keras.Model(planned.image, layout(planned), name=layout.__name__)

        build.__signature__ = signature
        build.__annotations__ = {name: parameter.annotation for name, parameter in signature.parameters.items()}
        build.__annotations__["return"] = keras.Model
        del build.__wrapped__
        return build

    return decorate


network = _network(Plan)
