"""What the headings of a table mean: the words for photos, tags and splits."""

from __future__ import annotations

import re
from collections.abc import Sequence

_NAMES = """
file filename filepath id image imagefile imagefilename imageid imagename imagepath img imgfile imgid imgname imgpath
name path photo photofile photoid photoname photopath picture
"""
_TAGS = """
categories category categoryid categoryname class classes classid classids classname classnames keyword keywords label
labelid labelids labelname labelnames labels tag tags
"""
NAMES, TAGS = frozenset(_NAMES.split()), frozenset(_TAGS.split())
_NAMES_ABROAD = """
datei dateiname dateien bild bildname bilddatei foto fotos fichier nomfichier nomdefichier nomdufichier archivo
nombrearchivo nombredearchivo imagen immagine nomefile arquivo nomearquivo imagem
"""
_TAGS_ABROAD = """
klasse klassen kategorie kategorien schlagwort schlagworte schlagwörter stichwort stichworte stichwörter classe
catégorie catégories étiquette étiquettes etiquette etiquettes clase clases etiqueta etiquetas classi etichetta
etichette
"""
NAMES_ABROAD, TAGS_ABROAD = frozenset(_NAMES_ABROAD.split()), frozenset(_TAGS_ABROAD.split())
"""Headings in German, French, Spanish, Italian and Portuguese; they count where no English one is."""
SPLIT = frozenset({"split", "splits", "subset", "set", "partition"})
"""Headings in small letters, without blanks, `_` and `-`."""
NUMBERED = re.compile(r"(tag|label|class|category)\d+")
"""Headings of several columns that each hold one tag."""
_OF_SEVERAL = re.compile(r"(.*[^\W\d_])[\s_-]*\d+")
"""Such a heading of any name, with what the headings of all these columns have in common."""
_SUBJECTS = "animal animals art arten especie espece espèce objekt object objects organism species specie"
SUBJECTS = frozenset(_SUBJECTS.split())
"""Headings under which words are hardly anything but tags, and which a class of yes and no would not have."""
UNREAD = frozenset(("", "source", "license", "url"))
"""Headings that never mean anything here, so that what stands below them is no second candidate."""


def names_photos(header: Sequence[str]) -> bool:
    """True for a heading of several columns of which one is called as those of photos are."""
    return len(header) > 1 and any(plain(cell) in NAMES | NAMES_ABROAD for cell in header)


def plain(cell: str) -> str:
    """A heading as it stands in the lists above: in small letters, without blanks, `_` and `-`."""
    return re.sub(r"[\s_-]+", "", cell.strip().casefold())


def common(cell: str) -> str:
    """What a heading as ``Species 2`` has in common with ``Species 1``; nothing where it has no number."""
    found = _OF_SEVERAL.fullmatch(cell)
    return found[1] if found else ""
