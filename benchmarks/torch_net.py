"""The nets of models.py in PyTorch, read from the same prototxt, so that both run the same computation."""

from __future__ import annotations

import statistics
import sys
import time
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from pycaffe_lite.proto.read import read_net


class TorchNet(nn.Module):
    """Runs the layers of a NetParameter in order; returns the weighted loss."""

    def __init__(self, path: str, layout: torch.memory_format) -> None:
        super().__init__()
        self.layers = list(read_net(path).param.layer)
        self.modules_by_name = nn.ModuleDict()
        self.channels: dict[str, int] = {}
        shapes = self.layers[0].dummy_data_param.shape
        self.data = torch.randn(*shapes[0].dim)
        self.label = torch.ones(*shapes[1].dim, dtype=torch.long)
        with torch.no_grad():
            self.forward(build=True)
        self.data = self.data.to(memory_format=layout)
        self.to(memory_format=layout)

    def forward(self, build: bool = False) -> Any:
        blobs = {"data": self.data, "label": self.label}
        loss = torch.zeros(())
        for layer in self.layers[1:]:
            inputs = [blobs[name] for name in layer.bottom]
            if build:
                self.build(layer, inputs[0])
            result = self.run(layer, inputs)
            if layer.type == "SoftmaxWithLoss":
                loss = loss + (layer.loss_weight[0] if layer.loss_weight else 1) * result
            blobs[layer.top[0]] = result
        return loss

    def build(self, layer: Any, x: torch.Tensor) -> None:
        module: nn.Module | None = None
        if layer.type == "Convolution":
            p = layer.convolution_param
            module = nn.Conv2d(
                x.shape[1],
                p.num_output,
                p.kernel_size[0],
                p.stride[0],
                p.pad[0],
                groups=p.group,
                bias=p.bias_term,
            )
        elif layer.type == "InnerProduct":
            module = nn.Linear(x[0].numel(), layer.inner_product_param.num_output)
        elif layer.type == "BatchNorm":
            module = nn.BatchNorm2d(x.shape[1])  # with the Scale that follows
        if module is not None:
            self.modules_by_name[layer.name.replace("/", "_")] = module

    def run(self, layer: Any, inputs: list[torch.Tensor]) -> torch.Tensor:
        x, name, p = inputs[0], layer.name.replace("/", "_"), layer.pooling_param
        if name in self.modules_by_name:
            return self.modules_by_name[name](x.flatten(1) if layer.type == "InnerProduct" else x)
        if layer.type == "Pooling" and p.global_pooling:
            return F.adaptive_avg_pool2d(x, 1)
        if layer.type == "Pooling":
            pool = F.max_pool2d if p.pool == p.MAX else F.avg_pool2d
            return pool(x, p.kernel_size, p.stride, p.pad, ceil_mode=True)
        if layer.type == "LRN":
            q = layer.lrn_param
            if q.norm_region == q.ACROSS_CHANNELS:
                return F.local_response_norm(x, q.local_size, q.alpha, q.beta)
            return x * (1 + q.alpha * F.avg_pool2d(x * x, q.local_size, 1, q.local_size // 2)) ** -q.beta
        if layer.type == "SoftmaxWithLoss":
            return F.cross_entropy(x, inputs[1])
        return {
            "ReLU": lambda: F.relu(x, inplace=True),
            "Scale": lambda: x,
            "Dropout": lambda: F.dropout(x, layer.dropout_param.dropout_ratio),
            "Concat": lambda: torch.cat(inputs, 1),
            "Eltwise": lambda: torch.add(*inputs),
        }[layer.type]()


def main() -> None:
    """python torch_net.py NET THREADS REPEAT contiguous_format|channels_last: the median ms of forward and backward."""
    torch.set_num_threads(int(sys.argv[2]))
    net = TorchNet(sys.argv[1], getattr(torch, sys.argv[4]))
    times = []
    for i in range(int(sys.argv[3]) + 2):
        begin = time.perf_counter()
        net.zero_grad(set_to_none=False)
        net().backward()
        if i > 1:
            times.append(time.perf_counter() - begin)
    print(statistics.median(times) * 1e3)


if __name__ == "__main__":
    main()
