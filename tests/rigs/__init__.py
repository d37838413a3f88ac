"""What tests share: rigs that build nets, layers, commands and data, and the vectors that Caffe itself computed."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden"
MNIST = ROOT / "data" / "mnist"
