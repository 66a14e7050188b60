"""Tags of a data set that the present project has indexed: of the same files, for a network of the same classes."""

from __future__ import annotations

from pathlib import Path

import pytest

from wsss.core.errors import UserError
from wsss.data.index import Index, Record, write_index
from wsss.predict.collect import find_photos
from wsss.predict.known_tags import read_indexed_tags, read_known_tags

CLASSES = ("background", "cow", "cat")


def record(name: str, image: str, *tags: int) -> Record:
    return Record(name, "train", image, None, tags, 8, 12, "0" * 64)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with settings and an index of three photos in ``../album``, of which one has no tag."""
    for name in ("a.jpg", "sub/b.JPG", "c.jpg", "new.jpg"):
        (tmp_path / "album" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "album" / name).write_bytes(b"")
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "params.yaml").write_text("dataset:\n  root: ../album\n  tags: tags.csv\n")
    records = (record("a", "a.jpg", 1), record("c", "c.jpg"), record("sub/b", "sub/b.JPG", 1, 2))
    write_index(folder / "artifacts/dataset", Index(CLASSES, records))
    return folder


def test_photos_of_the_data_set_have_its_tags(project: Path) -> None:
    source = read_indexed_tags(find_photos([project.parent / "album"]), CLASSES, project)
    assert source is not None
    assert source.tags == {"a": (1,), "sub/b": (1, 2)}  # c may show no class, or nobody has tagged it
    assert source.path == Path("artifacts/dataset")


KEEP = "format: folder\n  allow_untagged: true"


@pytest.mark.parametrize(
    ("settings", "row", "known"),
    [
        ("drop: [dog]", None, True),
        ("drop: []", None, False),
        ("drop: [", None, None),
        (KEEP, "c.jpg,", True),
        (KEEP, "c.jpg,dog", False),  # a tag that the index has not seen
        (KEEP, "new.jpg,", False),
        (KEEP, None, False),
        (f"{KEEP}\n  drop: [dog]", "c.jpg,dog", True),
        (f"{KEEP}\n  drop: [dog]", "a.jpg,cow", False),
        (KEEP.replace("folder", "coco"), None, True),
        (KEEP.replace("folder", "heap"), "c.jpg,", False),
    ],
)
def test_a_photo_without_tags_shows_no_class_if_its_tags_say_so(
    project: Path, settings: str, row: str | None, known: bool | None
) -> None:
    """They say so in a row without a tag, and where all of them were dropped; a photo without a row is not tagged."""
    (project / "params.yaml").write_text(f"dataset:\n  root: ../album\n  tags: tags.csv\n  {settings}\n")
    if row is not None:
        text = f"filename,tags\na.jpg,cow\nsub/b.JPG,cow|cat\n{row}\n"
        (project.parent / "album/tags.csv").write_text(text)
    source = read_indexed_tags(find_photos([project.parent / "album"]), CLASSES, project)
    assert (None if source is None else source.tags.get("c", False)) == (() if known else known)


def test_ids_are_those_of_the_command_line_and_links_are_followed(project: Path) -> None:
    (project.parent / "link").symlink_to(project.parent / "album" / "sub")
    source = read_indexed_tags(find_photos([project.parent / "link"]), CLASSES, project)
    assert source is not None
    assert source.tags == {"b": (1, 2)}


def test_files_of_the_same_name_elsewhere_are_other_photos(project: Path) -> None:
    (project.parent / "other").mkdir()
    (project.parent / "other" / "a.jpg").write_bytes(b"")
    assert read_indexed_tags(find_photos([project.parent / "other"]), CLASSES, project) is None


def test_nothing_is_known_without_settings_index_or_the_same_classes(project: Path) -> None:
    photos = find_photos([project.parent / "album"])
    assert read_indexed_tags(photos, (*CLASSES[:2], "dog"), project) is None
    assert read_indexed_tags(photos, (CLASSES[0], *CLASSES[:0:-1]), project) is None
    (project / "artifacts/dataset/index.csv").write_text("damaged")
    assert read_indexed_tags(photos, CLASSES, project) is None
    for text in ("dataset: 3\n", "seed: 0\n", "dataset: {root: 3}\n", "["):
        (project / "params.yaml").write_text(text)
        assert read_indexed_tags(photos, CLASSES, project) is None
    assert read_indexed_tags(photos, CLASSES, project.parent) is None


def test_the_fingerprint_is_of_all_tags_and_not_of_the_photos_asked_for(project: Path) -> None:
    album = project.parent / "album"
    (table := project / "tags.csv").write_text("photo,tags\na.jpg,cow\nsub/b.JPG,cow|cat\n")
    for read in (
        lambda photos: read_indexed_tags(photos, CLASSES, project),
        lambda photos: read_known_tags(table, photos, CLASSES),
    ):
        one, all_of_them = read(find_photos([album / "a.jpg"])), read(find_photos([album]))
        assert one is not None
        assert all_of_them is not None
        assert len(one.tags) == 1
        assert one.fingerprint == all_of_them.fingerprint
    before = read_indexed_tags(find_photos([album]), CLASSES, project)
    records = (record("a", "a.jpg", 2), record("c", "c.jpg"), record("sub/b", "sub/b.JPG", 1, 2))
    write_index(project / "artifacts/dataset", Index(CLASSES, records))
    after = read_indexed_tags(find_photos([album]), CLASSES, project)
    assert before is not None
    assert after is not None
    assert before.fingerprint != after.fingerprint


def told(project: Path, text: str, *sources: str) -> dict[str, tuple[int, ...]]:
    """The tags by a table outside of the photos' folder."""
    (table := project / "mine.csv").write_text(text, encoding="utf-8")
    found = find_photos([project.parent / source for source in sources or ("album",)])
    return dict(read_known_tags(table, found, CLASSES, project).tags)


def test_a_table_elsewhere_may_write_more_folders_than_were_given(project: Path) -> None:
    assert told(project, "photo,tags\nalbum/a.jpg,cow\nalbum/sub/b,cat\n") == {"a": (1,), "sub/b": (2,)}
    assert told(project, "photo,tags\nsub/b.JPG,cat\na.jpg,cow\n", "album/sub", "album/a.jpg") == {"a": (1,), "b": (2,)}
    assert told(project, "photo,tags\nother/a.jpg,cat\na.jpg,cow\n") == {"a": (1,)}


def test_a_table_of_counts_is_read_by_the_classes_of_the_network(project: Path) -> None:
    (table := project / "mine.csv").write_text("photo,who,cow,cat\na.jpg,MB,2,\nsub/b,AK,3,1\n")
    source = read_known_tags(table, find_photos([project.parent / "album"]), CLASSES, project)
    assert source.tags == {"a": (1,), "sub/b": (1, 2)}  # though each photo has a number of cows, as it may have a plot
    assert source.counted(3) == f"tags of 2 of 3 photos are known ({table}; not read: who)"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("photo,tags\na.jpg,Cow\nsub/b,CAT|cow\n", "read 'Cow' (1 row) as 'cow' (1), 'CAT' (1 row) as 'cat' (0)"),
        ("photo,Cow,cat\na.jpg,1,0\nsub/b,1,1\n", "read 'Cow' (2 rows) as 'cow' (0)"),
    ],
)
def test_capital_letters_make_no_other_class(
    project: Path, text: str, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert told(project, text) == {"a": (1,), "sub/b": (1, 2)}
    assert f"predict: capital letters make no other class: {line}\n" in capsys.readouterr().err
    assert told(project, text.replace("Cow", "cow").replace("CAT", "cat")) == {"a": (1,), "sub/b": (1, 2)}
    assert "capital" not in capsys.readouterr().err


def test_two_photos_that_a_path_may_mean_are_left_open(project: Path) -> None:
    for name in ("one/x/a.jpg", "two/x/a.jpg"):
        (project.parent / "album" / name).parent.mkdir(parents=True)
        (project.parent / "album" / name).write_bytes(b"")
    with pytest.raises(UserError, match=r"names none of these photos: it has 'x/a.jpg', and they are 'a.jpg'"):
        told(project, "photo,tags\nx/a.jpg,cat\n")


def test_classes_that_the_project_drops_are_no_unknown_ones(project: Path) -> None:
    text = "photo,tags\na.jpg,cow|dog\nc.jpg,dog\nsub/b.JPG,cat\n"
    fix = "edit these lines: the network knows cow, cat$"
    with pytest.raises(UserError, match=rf"unknown class 'dog' in 2 rows \(lines 2, 3\)\nfix: {fix}"):
        told(project, text)
    (project / "params.yaml").write_text("dataset:\n  root: ../album\n  drop: [dog, horse]\n")
    assert told(project, text) == {"a": (1,), "c": (), "sub/b": (2,)}
    source = read_known_tags(project / "mine.csv", find_photos([project.parent / "album"]), CLASSES, project)
    line = "tags of 3 of 4 photos are known ({}; 1 of them shows no class; params.yaml drops dog)"
    assert source.counted(4) == line.format(project / "mine.csv")
    with pytest.raises(UserError, match="unknown class 'horses'"):
        told(project, text + "new.jpg,horses\n")


def test_columns_are_those_that_the_project_names(project: Path) -> None:
    text = "id,file,animal,label\n1,a.jpg,cow,day\n2,c.jpg,cat,night\n"
    settings = "dataset:\n  root: ../album\n  photo_column: file\n  tag_column: animal\n"
    (project / "params.yaml").write_text(settings)
    assert told(project, text) == {"a": (1,), "c": (2,)}
    assert told(project, "photo,tags\na.jpg,cat\n") == {"a": (2,)}


def test_a_table_that_is_not_there(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="no such file\nfix: correct --tags"):
        read_known_tags(project / "none.csv", find_photos([project.parent / "album"]), CLASSES, project)
    (project.parent / "album/my tags.csv").touch()
    monkeypatch.chdir(project)
    for source in (Path("../album"), Path("../album/a.jpg")):
        with pytest.raises(UserError) as caught:
            read_known_tags(Path("my tags.csv"), find_photos([source]), CLASSES)
        assert str(caught.value) == (
            "error: my tags.csv: no such file; there is one in ../album\nfix: --tags '../album/my tags.csv'"
        )
    with pytest.raises(UserError, match=r"no such file \(did you mean '../album/my tags.csv'\?\)\nfix: correct"):
        read_known_tags(Path("../album/my_tags.csv"), find_photos([Path("../album/sub")]), CLASSES)
