"""Rows `cam` and `artifact`: dumping CAMs as the stage does it, against the loop that most public code runs.

The reference takes one photo, one scale and one mirror image at a time through the same weights, as a plain network
(convolution, then BatchNorm), brings every map to full size, and pickles full-resolution float32 maps.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from benchmarks.timing import Result, alternate
from wsss.core.device import set_threads
from wsss.core.stage import Stage
from wsss.data.datasets import Location
from wsss.data.index import Index, Record
from wsss.formats.build import build_index
from wsss.formats.settings import DatasetSettings
from wsss.inference.cams import CamsSettings, dump_cams, load_classifier
from wsss.models.backbones.registry import BackboneSettings
from wsss.models.checkpoint import NetworkCard, build_network, save_network
from wsss.stores.cams import CamStore
