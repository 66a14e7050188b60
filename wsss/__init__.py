"""wsss: image tags in, pixel masks out, as a reproducible pipeline."""

import os

# Before torch is loaded: OpenMP's threads spin while they wait, and two busy processes on two cores then slow each
# other down up to a hundredfold (decoding beside training, two CAM workers). Waiting changes no result.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
