"""LSTM, RNN and LSTMUnit.

The layers carry their state on, so cont begins with 0: each forward then gives what the first one gave. A
fraction of cont has no true derivative in LSTM and LSTMUnit, whose forget gate takes Caffe's.
"""

from __future__ import annotations

import numpy as np

from rigs.layer_cases.table import Case, Spec, add, values

WHOLE = values([[0, 0], [1, 1], [1, 0]])
FRACTIONS = values([[0, 0], [1, 0.5], [0.3, 0]])
LARGE_CONT: Spec = values(np.arange(3)[:, None] * np.ones((3, 40)) > 0)
X = (3, 2, 4)


def text(kind: str, bottoms: str = "", tops: str = "", fields: str = "") -> str:
    return (
        f'type: "{kind}" bottom: "x" bottom: "cont" {bottoms} top: "y" {tops} '
        f"recurrent_param {{ num_output: 3 {fields} }}"
    )


for kind, states in (("LSTM", ("h", "c")), ("RNN", ("h",))):
    large = text(kind).replace("num_output: 3", "num_output: 256")
    add(
        Case(
            text=text(kind),
            bottoms=(X, WHOLE),
            tops=((3, 2, 3),),
            differentiable=(0,),
        )
    )
    add(
        Case(
            text=large,
            bottoms=((1, 1, 1), values([[0]])),
            tops=((1, 1, 256),),
            name="wide",
            differentiable=(0,),
            differentiable_params=(1,),
            large=((3, 40, 300), LARGE_CONT),
        )
    )
    add(
        Case(
            text=text(kind, 'bottom: "static"'),
            bottoms=((3, 2, 2, 2), WHOLE, (2, 2, 2)),
            tops=((3, 2, 3),),
            name="static-more-axes",
            differentiable=(0, 2),
            grow=(0, 1),
        )
    )
    exposed = 'bottom: "static" ' + " ".join(f'bottom: "{state}0"' for state in states)
    add(
        Case(
            text=text(kind, exposed, " ".join(f'top: "{state}T"' for state in states), "expose_hidden: true"),
            bottoms=(X, values([[1, 1], [0, 1], [1, 0]]), (2, 2), *[(1, 2, 3)] * len(states)),
            tops=((3, 2, 3), *[(1, 2, 3)] * len(states)),
            name="exposed",
            differentiable=(0, 2),
            weighted_tops=(0,),
            grow=(0, 1),
        )
    )
add(
    Case(
        text=text("RNN"),
        bottoms=(X, FRACTIONS),
        tops=((3, 2, 3),),
        name="fractions",
        differentiable=(0,),
    )
)

for streams in (1, 3):
    add(
        Case(
            text='type: "LSTMUnit" bottom: "c" bottom: "gates" bottom: "cont" top: "c_next" top: "h"',
            bottoms=((1, streams, 2), (1, streams, 8), values([[1, 0, 1][:streams]])),
            tops=((1, streams, 2), (1, streams, 2)),
            name=f"{streams}-streams",
            differentiable=(0, 1),
            grow=(),
            large=((1, 60, 1024), (1, 60, 4096), values(np.ones((1, 60)))),
        )
    )
