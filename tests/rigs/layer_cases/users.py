"""Python layers, as users of pycaffe write them."""

from __future__ import annotations

from pathlib import Path

from rigs.layer_cases.table import Case, add

MODULE = '''
import caffe
import numpy as np


class Distance(caffe.Layer):
    """Half the mean squared distance."""

    def setup(self, bottom, top):
        if len(bottom) != 2:
            raise Exception("Need two inputs to compute distance.")

    def reshape(self, bottom, top):
        if bottom[0].count != bottom[1].count:
            raise Exception("Inputs must have the same dimension.")
        self.difference = np.zeros_like(bottom[0].data)
        top[0].reshape(1)

    def forward(self, bottom, top):
        self.difference[...] = bottom[0].data - bottom[1].data
        top[0].data[...] = np.sum(self.difference**2) / bottom[0].num / 2.0

    def backward(self, top, propagate_down, bottom):
        for i in range(2):
            if not propagate_down[i]:
                continue
            sign = 1 if i == 0 else -1
            bottom[i].diff[...] = sign * self.difference * top[0].diff[0] / bottom[i].num


class Scaled(caffe.Layer):
    """Multiplies by a parameter and by param_str, through views of flat memory."""

    def setup(self, bottom, top):
        self.value = float(self.param_str)
        self.blobs.add_blob(1)
        self.blobs[0].data[...] = 1

    def reshape(self, bottom, top):
        top[0].reshape(*bottom[0].data.shape)

    def forward(self, bottom, top):
        top[0].data.reshape(-1)[:] = bottom[0].data.reshape(-1) * self.value * self.blobs[0].data[0]

    def backward(self, top, propagate_down, bottom):
        if self.param_propagate_down[0]:
            self.blobs[0].diff[0] += np.sum(top[0].diff * bottom[0].data) * self.value
        if propagate_down[0]:
            bottom[0].diff.reshape(-1)[:] = top[0].diff.reshape(-1) * self.value * self.blobs[0].data[0]
'''
IMAGES = (2, 3, 2, 2)


def write_module(folder: Path) -> None:
    (folder / "layers_of_a_user.py").write_text(MODULE, encoding="utf-8")


PYTHON = 'python_param { module: "layers_of_a_user" layer:'
add(
    Case(
        text=f'type: "Python" bottom: "a" bottom: "b" top: "loss" {PYTHON} "Distance" }}',
        bottoms=(IMAGES, IMAGES),
        tops=((1,),),
        name="loss",
        prepare=write_module,
    )
)
add(
    Case(
        text=f'type: "Python" bottom: "x" top: "y" {PYTHON} "Scaled" param_str: "2.5" }}',
        bottoms=(IMAGES,),
        tops=(IMAGES,),
        name="parameter",
        prepare=write_module,
    )
)
