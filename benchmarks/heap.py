"""Row `heap`: a forward and backward pass with freed memory kept against one with the C library as it is.

The setting is of a process and cannot be undone, so each measurement is a process. Seconds are those of the processor.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

import torch

from benchmarks.timing import Result
from wsss.models.backbones.registry import BackboneSettings, build_backbone
from wsss.numeric.heap import keep_freed_memory

SIDE, BATCH, STEPS, PAIRS = 320, 8, 3, 3


def run() -> list[Result]:
    """EfficientNet-Lite0 at stride 16, 8 photos of 320 pixels, one thread."""
    kept, plain = [], []
    for _ in range(PAIRS):
        kept.append(measured("keep"))
        plain.append(measured("plain"))
    seconds, reference = statistics.median(kept), statistics.median(plain)
    reference_name = "the same with the C library as it is"
    return [Result("heap", reference_name, seconds, reference, reference / seconds, 1.15, {})]


def measured(how: str) -> float:
    """Processor seconds of a step in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.heap", how]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def child(how: str) -> None:
    """Print the processor seconds of a step."""
    if how == "keep" and not keep_freed_memory():
        sys.exit("benchmarks: this C library has no such setting")
    torch.set_num_threads(1)
    backbone = build_backbone(BackboneSettings(name="efficientnet_lite0", output_stride=16, weights="random"))
    images = 255 * torch.rand(BATCH, 3, SIDE, SIDE)
    for step in range(STEPS + 1):
        if step == 1:  # the first one warms up
            began = time.process_time()
        backbone(images)[-1].sum().backward()
    print((time.process_time() - began) / STEPS)


if __name__ == "__main__":
    child(sys.argv[1])
