"""3×3 convolutions of small maps in fewer multiplications: Winograd's minimal filtering (Lavin & Gray 2016).

A tile of m × m outputs needs n × n inputs, n = m + 2. Inputs and weights are taken to n × n other numbers, multiplied
there one by one, and summed over channels: n² multiplications for each pair of channels instead of 9 m²
(arXiv:1509.09308, eq. 8). The sums are n² products of matrices, which a BLAS does near the processor's peak, also where
a map is so small that a direct convolution waits for its weights. That is where it pays, and where it is used:
:func:`tile` says with which m. Its weights take n² / 9 times the room: 80 to 115 MB more for a full-width network.

The numbers are polynomials' values at n − 1 points and at infinity. 0, 1, −1, 1/2, −2 lose the fewest digits
(Barabasz et al. 2020, arXiv:1803.10986, table 5): the largest error is about twice that of a direct float32 sum.

Shape letters: B batch, C O channels in and out, H W map, m n tile out and in, T tiles of the batch.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

__all__ = ["Winograd", "matrices", "tile"]

POINTS = (0.0, 1.0, -1.0, 0.5, -2.0)
CHANNELS, SIDE = 256, 8  # the fewest channels and the largest map with which it is quicker (benchmarks/bench_engines)


def tile(channels: int, side: int) -> int:
    """The side m of the tiles with the fewest multiplications on a square map; 0 where a direct sum is as good."""
    if channels < CHANNELS or side > SIDE:
        return 0
    return min((2, 3, 4), key=lambda m: ((-(-side // m) * (m + 2)) ** 2, m))


def matrices(m: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Aᵀ (m, n), G (n, 3), Bᵀ (n, n) of F(m, 3): Aᵀ[(G g) ⊙ (Bᵀ d)] is the correlation of d (n,) with g (3,).

    Toom and Cook's construction (Lavin & Gray 2016, section 4): Aᵀ and G evaluate polynomials at n − 1 points and at
    infinity, Bᵀ is the transposed interpolation.
    """
    points = np.array(POINTS[: m + 1])
    apart = [np.prod(p - np.delete(points, j)) for j, p in enumerate(points)]
    a = np.vander(points, m, increasing=True).T
    g = np.vander(points, 3, increasing=True) / np.array(apart)[:, None]
    b = np.zeros((m + 2, m + 2))
    for j in range(m + 1):
        b[j, : m + 1] = np.poly(np.delete(points, j))[::-1]
    b[m + 1] = np.poly(points)[::-1]
    last = np.eye(m)[:, -1:], np.eye(3)[-1:]  # the value at infinity is the highest coefficient
    return np.hstack([a, last[0]]), np.vstack([g, last[1]]), b


class Winograd:
    """y = W x + b with stride 1 and a border of 1, for maps in channels_last on a CPU, in float32.

    Args:
        weight: (O, C, 3, 3) float64.
        bias: (O,).
        m: side of the tiles, :func:`tile`.
    """

    def __init__(self, weight: Tensor, bias: Tensor, m: int) -> None:
        a, g, b = (torch.from_numpy(each) for each in matrices(m))
        self.m, self.n, self.bias = m, m + 2, bias.float()
        taps = weight.double().permute(2, 3, 1, 0).reshape(9, -1)  # (9, C O)
        self.weight = (torch.kron(g, g) @ taps).float().view(self.n**2, weight.shape[1], weight.shape[0])
        self.inward, self.outward = (torch.kron(each, each).float() for each in (b, a))  # (n², n²), (m², n²)

    def tiles(self, x: Tensor) -> tuple[Tensor, int, int]:
        """(B, C, H, W) → (n², T, C) the tiles' transforms; T = B · rows · columns of tiles, which are returned too."""
        m, n, (batch, channels, height, width) = self.m, self.n, x.shape
        rows, columns = -(-height // m), -(-width // m)
        border = (0, 0, 1, m * columns + 1 - width, 1, m * rows + 1 - height)
        x = nn.functional.pad(x.permute(0, 2, 3, 1), border)  # (B, m rows + 2, m columns + 2, C)
        image, down, right, channel = x.stride()
        shape, strides = (n, n, batch, rows, columns, channels), (down, right, image, m * down, m * right, channel)
        tiles = x.as_strided(shape, strides).reshape(n * n, -1)
        return (self.inward @ tiles).view(n * n, -1, channels), rows, columns

    def sums(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, H, W, O), without the bias."""
        moved, rows, columns = self.tiles(x)
        products = torch.bmm(moved, self.weight)  # (n², T, O)
        out = (self.outward @ products.flatten(1)).view(self.m, self.m, len(x), rows, columns, -1)
        out = out.permute(2, 3, 0, 4, 1, 5).reshape(len(x), self.m * rows, self.m * columns, -1)
        return out[:, : x.shape[2], : x.shape[3]]

    def __call__(self, x: Tensor) -> Tensor:
        """relu(W x + b), (B, O, H, W) in channels_last."""
        sums = self.sums(x)
        return torch.add(sums, self.bias, out=x.new_empty(sums.shape)).relu_().permute(0, 3, 1, 2)

    def onto(self, shortcut: Tensor, x: Tensor) -> Tensor:
        """relu(shortcut + W x + b), written over ``shortcut``."""
        return shortcut.add_(self.sums(x).add_(self.bias).permute(0, 3, 1, 2)).relu_()
