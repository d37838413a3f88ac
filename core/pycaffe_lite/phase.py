"""The two phases of a net, with the numbers Caffe gives them."""

from __future__ import annotations

TRAIN = 0
TEST = 1
