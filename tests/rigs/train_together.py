"""What the ranks of a test run: python -m rigs.train_together OUT.npz ITERATIONS SOLVER…

Each solver is trained for so many iterations; rank 0 writes the parameters of each, in order, and whether those of all
ranks are the same to the bit.
"""

from __future__ import annotations

import sys

import numpy as np

from pycaffe_lite.ranks import join
from pycaffe_lite.solvers.registry import get_solver


def main(out: str, iterations: int, paths: list[str]) -> None:
    ranks, results = join(), {}
    for number, path in enumerate(paths):
        solver = get_solver(path, ranks)
        solver.step(iterations)
        own = solver.flats[0].copy()
        ranks.broadcast(own)
        different = ranks.largest(float((own != solver.flats[0]).any()))[0]
        results[f"p{number}"], results[f"d{number}"] = own, np.array(different)
        solver.close()
    if ranks.is_root:
        np.savez(out, **results)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
