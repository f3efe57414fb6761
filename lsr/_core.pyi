from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

def kernels() -> list[str]: ...

class Projection:
    def __init__(
        self,
        weight: NDArray[np.float32],
        bias: NDArray[np.float32] | None,
        center: NDArray[np.float32],
        kernels: str = "",
    ) -> None: ...
    def largest(
        self, states: NDArray[np.float32], offsets: NDArray[np.int64], floor: float = 0.0
    ) -> tuple[
        NDArray[np.int64], NDArray[np.int32], NDArray[np.float32], int, NDArray[np.int64]
    ]: ...

def add_gradients(
    gradient: NDArray[np.float32],
    tokens: NDArray[np.int64],
    terms: NDArray[np.int64],
    states: NDArray[np.float32],
    weight: NDArray[np.float32],
    of_states: NDArray[np.float32] | None,
    of_weight: NDArray[np.float32] | None,
) -> None: ...

class Bert:
    """A BERT up to its vocabulary projection, if any; ``rest`` are weight and bias of each part.

    First the norm of the embeddings, then for each layer query, key, value, output and norm of
    its attention, the two linear layers and the norm after it, then of a language model the linear
    layer and the norm before the projection. Linear weights are (outputs, inputs). With ``whole``
    the linear layers of layers multiply whole numbers of 8 bits.
    """

    def __init__(
        self,
        words: NDArray[np.float32],
        places: NDArray[np.float32],
        rest: Sequence[NDArray[np.float32]],
        heads: int,
        epsilon: float,
        kernels: str = "",
        whole: bool = False,
    ) -> None: ...
    def states(self, ids: NDArray[np.int64], offsets: NDArray[np.int64]) -> NDArray[np.float32]: ...
