"""The page of `wsss tag` in a real browser: keys and clicks become rows of the table, and names nothing but text."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import RawData
from tests.toy_tag import NEEDS, toy_look, waited
from wsss.commands.tag import listening
from wsss.tag.pictures import Pictures
from wsss.tag.session import Session
from wsss.tag.suggest import Suggestions

pytest.importorskip("uvicorn", reason=NEEDS)
pytest.importorskip("selenium", reason="needs selenium: pip install selenium")
import uvicorn
from selenium import webdriver
from selenium.webdriver import ActionChains
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.keys import Keys

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
if not (CHROMIUM and DRIVER):
    pytest.skip("needs chromium and chromedriver", allow_module_level=True)
EVIL = "<img src=x onerror=document.title='evil'>.jpg"
pytestmark = pytest.mark.slow


@pytest.fixture
def folder(raw_data: RawData) -> Path:
    for name in (EVIL, *(f"{kind}{number:03}.jpg" for kind in "cs" for number in range(20))):
        raw_data.photo(name, (60, 80))
    return raw_data.root


@pytest.fixture
def page(folder: Path) -> Iterator[Any]:
    """The browser, with the page of `folder`."""
    from wsss.tag.server import tag_server

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1280,900"):
        options.add_argument(argument)
    suggestions = Suggestions(Session(folder), toy_look)
    with listening(0) as listener:
        port = listener.getsockname()[1]
        app = tag_server(suggestions.session, suggestions, Pictures(folder), "token", port)
        server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_config=None, ws="none"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        suggestions.begin()
        browser = webdriver.Chrome(options=options, service=Service(DRIVER, log_output=os.devnull))
        try:
            browser.get(f"http://127.0.0.1:{port}/token/")
            waited(lambda: len(photos(browser)) == 41)
            yield browser
        finally:
            browser.quit()
            server.should_exit = True
            suggestions.end()
            thread.join(20)


def photos(page: Any) -> list[Any]:
    return list(page.find_elements("css selector", ".photo"))


def press(page: Any, *keys: str) -> None:
    for key in keys:
        ActionChains(page).send_keys(key).perform()


def click(page: Any, first: int, last: int) -> None:
    """Select a range by a click, and a click with Shift."""
    photos(page)[first].click()
    ActionChains(page).key_down(Keys.SHIFT).click(photos(page)[last]).key_up(Keys.SHIFT).perform()


def add_class(page: Any, name: str) -> None:
    before = len(page.find_elements("css selector", "#classes button"))
    page.find_element("id", "name").send_keys(name + Keys.ENTER)
    waited(lambda: len(page.find_elements("css selector", "#classes button")) > before)


def test_keys_and_clicks_become_rows(page: Any, folder: Path) -> None:
    def rows() -> list[str]:
        path = folder / "tags.csv"
        return path.read_text(encoding="utf-8").splitlines()[1:] if path.exists() else []

    page.find_element("id", "name").send_keys("<b>" + Keys.ENTER)
    waited(lambda: "a name with brackets" in page.find_element("id", "message").text)
    page.find_element("id", "name").clear()
    add_class(page, "cow")
    add_class(page, "sheep")
    click(page, 1, 20)
    press(page, "1")
    waited(lambda: len(rows()) == 20 and rows()[0] == "c000.jpg,cow")
    photos(page)[0].click()
    press(page, Keys.ARROW_RIGHT, "2", "2", "0")  # on and off; then of no class
    waited(lambda: rows()[0] == "c000.jpg,")
    press(page, "u")
    waited(lambda: rows()[0] == "c000.jpg,cow")
    click(page, 21, 30)
    press(page, "2")
    waited(lambda: len(rows()) == 30)
    waited(lambda: page.find_elements("css selector", ".likely"))  # suggestions, as thirty are tagged
    page.find_element("css selector", "[data-order=alike]").click()
    waited(lambda: len(photos(page)) == 11)  # those that are not tagged
    photos(page)[4].click()
    press(page, "a", Keys.ENTER)
    waited(lambda: sum(row.endswith(",sheep") for row in rows()) >= 19)
    assert page.title == "wsss tag"  # no name has become HTML
    assert not page.find_elements("css selector", "#grid b, #grid [onerror]")
    assert {image.get_dom_attribute("alt") for image in page.find_elements("css selector", ".photo img")} == {""}
