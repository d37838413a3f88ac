"""The gates of a long short-term memory, which LSTM and LSTMUnit share; s(x) = 1 / (1 + exp(-x))."""

from __future__ import annotations

import numpy as np

from pycaffe_lite.blob import Array

INPUT, FORGET, OUTPUT, CANDIDATE = range(4)
"""The order of the four gates in Caffe's blobs."""


def unit_forward(gates: Array, cont: Array, cell: Array, next_cell: Array, squashed: Array, hidden: Array) -> None:
    """From gate inputs to gates, in place, and to the next cell and hidden state.

        i, f, o = s(gates[:3])    g = tanh(gates[3])    f = f cont
        next_cell = f cell + i g     squashed = tanh(next_cell)     hidden = o squashed

    Args:
        gates: 4 x N x D, the inputs of i, f, o, g; written over with their values.
        cont: N x 1, 0 where a sequence begins.
        cell: N x D.
        next_cell, squashed, hidden: N x D, to be filled.
    """
    # s(x) = (tanh(x / 2) + 1) / 2, which overflows nowhere, and one tanh serves all four gates.
    switches = gates[:CANDIDATE]
    np.multiply(switches, 0.5, out=switches)
    np.tanh(gates, out=gates)
    np.multiply(switches, 0.5, out=switches)
    np.add(switches, 0.5, out=switches)
    forget = gates[FORGET]
    np.multiply(forget, cont, out=forget)
    np.multiply(gates[INPUT], gates[CANDIDATE], out=hidden)
    np.multiply(forget, cell, out=next_cell)
    np.add(next_cell, hidden, out=next_cell)
    np.tanh(next_cell, out=squashed)
    np.multiply(gates[OUTPUT], squashed, out=hidden)


def unit_slopes(gates: Array, cell: Array, squashed: Array, through: Array, gates_diff: Array) -> None:
    """The part of `unit_forward`'s derivatives that does not wait for the time step after.

    The derivative of f is c_prev f (1 - f) with the f that cont has scaled, as in Caffe.

    Args:
        gates, cell, squashed: what `unit_forward` had and made.
        through: N x D, to be filled with what brings the derivative of hidden to next_cell.
        gates_diff: 4 x N x D, to be filled with what brings that of next_cell, for o that of hidden, to the gates'
            inputs.
    """
    switches, candidate = gates[:CANDIDATE], gates[CANDIDATE]
    slopes, last = gates_diff[:CANDIDATE], gates_diff[CANDIDATE]
    np.subtract(1, switches, out=slopes)
    np.multiply(slopes, switches, out=slopes)
    for gate, factor in ((INPUT, candidate), (FORGET, cell), (OUTPUT, squashed)):
        np.multiply(gates_diff[gate], factor, out=gates_diff[gate])
    np.multiply(candidate, candidate, out=last)
    np.subtract(1, last, out=last)
    np.multiply(last, gates[INPUT], out=last)
    np.multiply(squashed, squashed, out=through)
    np.subtract(1, through, out=through)
    np.multiply(through, gates[OUTPUT], out=through)


def unit_backward(forget: Array, through: Array, hidden_diff: Array, cell_diff: Array, gates_diff: Array) -> None:
    """The derivatives of `unit_forward`.

    Args:
        forget: N x D, the gate f.
        through, gates_diff: as `unit_slopes` made them; gates_diff becomes the derivative of the gates' inputs.
        hidden_diff: N x D, that of hidden.
        cell_diff: N x D, that of next_cell; becomes that of cell.
    """
    np.multiply(through, hidden_diff, out=through)
    np.add(cell_diff, through, out=cell_diff)
    np.multiply(gates_diff[:OUTPUT], cell_diff, out=gates_diff[:OUTPUT])
    np.multiply(gates_diff[OUTPUT], hidden_diff, out=gates_diff[OUTPUT])
    np.multiply(gates_diff[CANDIDATE], cell_diff, out=gates_diff[CANDIDATE])
    np.multiply(cell_diff, forget, out=cell_diff)
