"""What is shown of masks that a person has edited: areas and pictures are made of them, and the masks are only read."""

from __future__ import annotations

import hashlib
from functools import partial

import numpy as np

from wsss.data.codec import read_file
from wsss.data.images import decode_image
from wsss.predict.chunks import Work
from wsss.predict.collect import FoundPhoto
from wsss.predict.edits import edited_label
from wsss.predict.folder import Folder
from wsss.predict.made import areas_of, pictures_of
from wsss.predict.segmenter import Segmentation


def redraw(folder: Folder, photo: FoundPhoto, work: Work) -> bool:
    """Bring the row of `photo`, whose mask is edited, and its pictures, if `work` has any, up to date. False, and
    nothing is done, if it has no row, or is another photo now. Raises `UserError` if photo or mask cannot be read.
    """
    data = read_file(photo.path)
    if folder.sha256(photo.id) != hashlib.sha256(data).hexdigest():
        return False
    classes = tuple(folder.settings["classes"])
    label = edited_label(folder.mask(photo.id), folder.size(photo.id), len(classes))
    whole = partial(decode_image, data, photo.path, work.max_megapixels)
    found = Segmentation(whole, label, np.ones(label.shape, np.float16), classes)
    pictures = {} if work.overlay_width is None else pictures_of(found, work.overlay_width)
    folder.show(photo.id, areas_of(found), pictures)
    return True
