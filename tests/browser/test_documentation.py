"""The pages of the documentation in a real browser: nothing is cut off, and what a button copies can be pasted."""

import subprocess
import sys
from pathlib import Path

import pytest
from browser import chromium, show

ROOT = Path(__file__).resolve().parents[2]
DESKTOP, PHONE = 1280, 390

# What is wider than its place: whatever hides or scrolls it, and text that would run into its neighbour. Left out is
# what only screen readers see, one pixel wide.
CUT_OFF = """
const text = "pre, table, th, td, p, li, dt, h1, h2, h3, h4";
return [...document.querySelectorAll("body *")]
  .filter((element) => element.clientWidth > 1 && element.checkVisibility() && !element.closest("svg"))
  .filter((element) => getComputedStyle(element).display !== "inline")
  .filter((element) => getComputedStyle(element).overflowX !== "visible" || element.matches(text))
  .filter((element) => element.scrollWidth > element.clientWidth)
  .map((element) => `${element.scrollWidth} > ${element.clientWidth}: ${element.outerHTML.slice(0, 200)}`);
"""


@pytest.fixture(scope="module")
def html(tmp_path_factory):
    """The documentation, built from this checkout."""
    made = tmp_path_factory.mktemp("html")
    program = [
        sys.executable,
        "-m",
        "sphinx",
        "-q",
        "-d",
        str(made / "doctrees"),
        str(ROOT / "docs"),
        str(made / "html"),
    ]
    subprocess.run(program, check=True)
    return made / "html"


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    # No page may need the network, and none may wait for it.
    driver = chromium(tmp_path_factory.mktemp("profile"), "--host-resolver-rules=MAP * ~NOTFOUND")
    yield driver
    driver.quit()


def pages(html):
    return sorted(html.rglob("*.html"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [DESKTOP, PHONE])
def test_nothing_on_any_page_is_cut_off(html, driver, width, scheme):
    show(driver, width, scheme)
    found = {}
    for page in pages(html):
        driver.get(page.as_uri())
        wide = driver.execute_script(CUT_OFF)
        if wide or driver.execute_script("return document.documentElement.scrollWidth") > width:
            found[page.relative_to(html).as_posix()] = wide
    assert found == {}
    assert len(pages(html)) > 10


def test_what_is_cut_off_would_be_noticed(html, driver):
    show(driver, PHONE, "light")
    driver.get((html / "index.html").as_uri())
    driver.execute_script("document.querySelector('pre').style.whiteSpace = 'pre'")
    driver.execute_script("document.querySelector('pre').prepend('x'.repeat(100))")
    assert len(driver.execute_script(CUT_OFF)) == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_has_the_colours_that_the_reader_asks_for(html, driver, scheme):
    show(driver, DESKTOP, scheme)
    driver.get((html / "index.html").as_uri())
    paper = driver.execute_script("return getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    assert (max(paper) < 50) == (scheme == "dark")


def test_what_the_copy_button_copies_can_be_pasted(html, driver):
    show(driver, DESKTOP, "light")
    blocks = {}
    for page in pages(html):
        driver.get(page.as_uri())
        for kind, shown, copied in driver.execute_script(COPIED):
            blocks.setdefault(kind, []).append((shown, copied))
    assert len(blocks["python"]) > 50
    for shown, copied in blocks["python"]:
        lines = shown.splitlines()
        prompted = [line[4:] for line in lines if line[:4] in (">>> ", "... ") or line == "..."]
        assert copied.splitlines() == (prompted or lines)
        compile(copied + "\n", "<copied>", "exec")
    for shown, copied in blocks["console"]:
        commands = [line[2:] for line in shown.splitlines() if line.startswith("$ ")]
        if commands:  # else it is what a terminal of before has gone on to print
            assert copied.splitlines() == commands


# Each block with its language, its text, and what its button copies: the button puts it into a text area, which it
# removes again, and has the document copy it.
COPIED = """
let copied;
document.execCommand = () => { copied = document.querySelector("body > textarea").value; return true; };
return [...document.querySelectorAll("div[class*=highlight-]")].map((block) => {
  copied = undefined;
  block.querySelector("button.copybtn").click();
  return [block.className.match(/highlight-(\\S+)/)[1], block.querySelector("pre").textContent, copied];
});
"""
