"""The pages of `wsss tag`: who may ask, what they answer, and that names are never more than text."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.conftest import RawData
from tests.toy_tag import NEEDS, toy_look
from wsss.tag.pictures import SMALL, Pictures
from wsss.tag.session import Session
from wsss.tag.suggest import Suggestions

pytest.importorskip("starlette", reason=NEEDS)
pytest.importorskip("httpx2", reason=NEEDS)
from starlette.testclient import TestClient

from wsss.tag import server
from wsss.tag.server import tag_server

TOKEN, PORT = "secret", 8123
HOST = f"127.0.0.1:{PORT}"
EVIL = "<img src=x onerror=alert(1)>.jpg"


@pytest.fixture
def root(raw_data: RawData) -> Path:
    raw_data.photo(EVIL, (600, 300))
    raw_data.photo("b.jpg")
    raw_data.photo("sub/c.jpg")
    raw_data.write("z.jpg", b"no photo")
    raw_data.root.parent.joinpath("outside.jpg").write_bytes(b"outside")
    return raw_data.root


@pytest.fixture
def client(root: Path) -> TestClient:
    session = Session(root)
    session.add_class("cow")
    app = tag_server(session, Suggestions(session, toy_look), Pictures(root), TOKEN, PORT)
    return TestClient(app, base_url=f"http://{HOST}/{TOKEN}/")


def tag(client: TestClient, *photos: int, name: str | None = "cow", on: bool = True) -> Any:
    return client.post("tag", json={"changes": [{"photos": photos, "class": name, "on": on}]})


@pytest.mark.parametrize("path", ["/", "/secre/", "/secret", "/secret2/", "/x/../secret2/state", "/state", "//secret/"])
def test_requests_without_the_token_are_refused(client: TestClient, path: str) -> None:
    answer = client.get(f"http://{HOST}{path}", follow_redirects=False)
    assert answer.status_code == 403
    assert "cow" not in answer.text
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")


@pytest.mark.parametrize("host", ["evil.example", f"evil.example:{PORT}", "127.0.0.1", "127.0.0.1:1", f"[::1]:{PORT}"])
def test_other_hosts_are_refused(client: TestClient, host: str) -> None:
    assert client.get("state", headers={"host": host}).status_code == 403


def test_pages_from_elsewhere_are_refused(client: TestClient, root: Path) -> None:
    changes = {"changes": [{"photos": [0], "class": "cow", "on": True}]}
    for origin in ("http://evil.example", "null", f"https://{HOST}"):
        assert client.post("tag", json=changes, headers={"origin": origin}).status_code == 403
    assert client.post("tag", json=changes, headers={"origin": f"http://localhost:{PORT}"}).status_code == 200
    assert not any(name.startswith("access-control") for name in client.get("state").headers)


def test_a_form_of_another_page_changes_nothing(client: TestClient, root: Path) -> None:
    text = '{"changes": [{"photos": [0], "class": "cow", "on": true}]}'
    for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
        assert client.post("tag", content=text, headers={"content-type": kind}).status_code == 400
    assert client.get("tag").status_code == 405
    assert not (root / "tags.csv").exists()


@pytest.mark.parametrize("path", ["..%2foutside.jpg", "small/../../outside.jpg", "small/b.jpg", "small/-1", "small/99"])
def test_nothing_but_the_listed_photos_is_given_out(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code in (403, 404)
    assert answer.content != b"outside"


def test_names_are_data_and_the_page_is_the_same_for_all(client: TestClient) -> None:
    page = client.get("")
    assert page.headers["content-type"].startswith("text/html")
    assert "onerror" not in page.text
    assert "http" not in page.text
    state = client.get("state")
    assert state.headers["content-type"] == "application/json"
    assert state.headers["x-content-type-options"] == "nosniff"
    assert state.json() == {"folder": "raw", "photos": [EVIL, "b.jpg", "sub/c.jpg", "z.jpg"], "tags": [None] * 4}
    script = client.get("page.js").text + client.get("keys.js").text
    assert not [
        word for word in ("innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval(") if word in script
    ]
    for name in ("page.js", "keys.js", "page.css"):
        assert "//" not in client.get(name).text.replace("// ", "")


def test_the_policy_allows_our_own_files_only(client: TestClient) -> None:
    policy = dict(part.split(" ", 1) for part in client.get("").headers["content-security-policy"].split("; "))
    assert policy.pop("default-src") == "'none'"
    assert set(policy.values()) == {"'self'", "'none'"}
    assert policy["script-src"] == policy["img-src"] == "'self'"


def test_steps_are_acknowledged_when_they_are_on_the_disk(client: TestClient, root: Path) -> None:
    answer = tag(client, 0, 2).json()
    assert answer["tags"] == {"0": ["cow"], "2": ["cow"]}
    assert answer["news"]["classes"] == [{"name": "cow", "count": 2}]
    assert (root / "tags.csv").read_text(encoding="utf-8") == f"filename,tags\n{EVIL},cow\nsub/c.jpg,cow\n"
    assert tag(client, 1, name=None).json()["news"]["done"] == 3
    assert client.post("undo", json={}).json()["tags"] == {"1": None}
    assert client.post("class", json={"name": " sheep "}).json()["classes"][1] == {"name": "sheep", "count": 0}
    assert tag(client, 1, name="sheep").json()["tags"] == {"1": ["sheep"]}


def test_errors_are_told_as_text(client: TestClient) -> None:
    answer = client.post("class", json={"name": "COW"})
    assert answer.status_code == 400
    assert "same name" in answer.json()["what"]
    for body in ("[]", "{", "[" * 100_000, '{"changes": 1}', f'{{"x": "{"x" * server.MOST}"}}'):
        answer = client.post("tag", content=body, headers={"content-type": "application/json"})
        assert answer.status_code == 400
        assert set(answer.json()) == {"where", "what", "fix"}
    for query in ("by=like", "by=like&number=9", "by=like&number=-1", "by=like&number=٣", "by=x"):
        assert client.get(f"order?{query}").status_code == 400


def test_pictures_are_small_jpegs_and_damaged_files_errors(client: TestClient) -> None:
    answer = client.get("small/0")
    assert answer.headers["content-type"] == "image/jpeg"
    assert Image.open(io.BytesIO(answer.content)).size == (SMALL // 2, SMALL)
    assert Image.open(io.BytesIO(client.get("large/0").content)).size == (300, 600)
    assert client.get("small/3").status_code == 400


def test_orders_before_anything_was_looked_at(client: TestClient) -> None:
    assert client.get("order?by=alike").json() == [0, 1, 2, 3]
    assert client.get("order?by=like&number=2").json() == [2, 0, 1, 3]


def test_suggestions_are_sent_once(client: TestClient) -> None:
    news = client.get("news").json()
    assert news["likely"] == {}
    assert "likely" not in client.get(f"news?version={news['version']}").json()


def test_pictures_are_kept_within_a_bound(root: Path) -> None:
    first = Pictures(root).jpeg("b.jpg", SMALL)
    pictures = Pictures(root, kept=len(first) + 10)
    assert pictures.jpeg("b.jpg", SMALL) is pictures.jpeg("b.jpg", SMALL)
    kept = pictures.jpeg("b.jpg", SMALL)
    pictures.jpeg("sub/c.jpg", SMALL)
    assert pictures.jpeg("b.jpg", SMALL) is not kept
    assert pictures.jpeg("b.jpg", SMALL) == kept
