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
    ) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32], int]: ...
