"""The page of docs/examples/drf_worker in a real browser: Chromium, headless."""

import signal

import pytest
from browser import chromium, show
from drf_service import DEADLINE, Service, until
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait


class Page:
    """The page as its reader sees it, in a browser with a fresh profile."""

    def __init__(self, profile, url):
        self.driver = chromium(profile)
        self.driver.set_page_load_timeout(DEADLINE)
        self.wait = WebDriverWait(self.driver, DEADLINE, poll_frequency=0.05)
        self.driver.get(url)

    def text(self, name):
        return self.driver.find_element(By.ID, name).text

    def until(self, name, text):
        """Wait until the element contains the text."""
        self.wait.until(lambda _: text in self.text(name), f"#{name} does not say {text!r} but {self.text(name)!r}")

    def button(self, name):
        return self.driver.find_element(By.ID, name)

    def until_live(self):
        self.until("connection", "Live")
        assert not self.button("lost").is_displayed()

    def until_lost(self):
        self.wait.until(lambda _: self.button("lost").is_displayed(), "the page does not say that it is not connected")
        assert "Connection lost" in self.text("lost")
        assert self.text("connection") == "Not connected"
        assert self.driver.title == "Connection lost - Worker"
        assert not self.button("go").is_enabled()
        assert not self.button("drain").is_enabled()

    def strip(self):
        """Return the states of the strip of the last changes, the oldest first."""
        script = "return [...document.querySelectorAll('#strip li')].map(bar => bar.dataset.status)"
        return self.driver.execute_script(script)

    def rows(self):
        """Return the states of the table of the last changes, the latest first."""
        script = "return [...document.querySelectorAll('#rows tr')].map(row => row.cells[0].textContent)"
        return self.driver.execute_script(script)

    def errors(self):
        return [entry for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]


@pytest.fixture
def service(tmp_path):
    (tmp_path / "state").mkdir()
    with Service(tmp_path / "state") as service:
        yield service


@pytest.fixture
def page(service, tmp_path):
    page = Page(tmp_path / "profile", service.url)
    try:
        page.until_live()
        yield page
    finally:
        page.driver.quit()


def set_by_another_process(service, status):
    assert service.run(f"from jobs.state import state; state.status = {status!r}") == 0


def test_it_follows_the_changes_that_other_processes_make(service, page):
    page.until("status", "IDLE")
    page.until("since", "since ")
    assert page.strip() == ["IDLE"]
    set_by_another_process(service, "UNAVAILABLE")
    page.until("status", "UNAVAILABLE")
    assert page.driver.title == "UNAVAILABLE - Worker"
    assert not page.button("go").is_enabled()
    set_by_another_process(service, "IDLE")
    page.until("status", "IDLE")
    assert page.button("go").is_enabled()
    assert service.post_job(seconds=0.5) == (202, {"job": 1})
    page.until("meaning", "Job 1 is running.")
    page.until("status", "IDLE")
    assert page.strip() == ["IDLE", "UNAVAILABLE", "IDLE", "CALCULATING", "IDLE"]
    assert page.rows() == page.strip()[::-1]
    assert page.errors() == []


def test_its_time_goes_on_without_a_change(page):
    before = page.text("since")
    page.wait.until(lambda _: page.text("since") != before)
    assert page.text("since").split(",")[0] == before.split(",")[0]


def test_its_buttons_submit_a_job_and_drain(service, page):
    page.until("status", "IDLE")
    seconds = page.button("seconds")
    seconds.clear()
    seconds.send_keys("3000")
    page.button("go").click()
    page.until("answer", "Job 1 was accepted.")
    page.until("status", "CALCULATING")
    page.until("meaning", "Job 1 is running.")
    until(lambda: service.job(1) == "RUNNING")
    page.button("go").click()
    page.until("answer", "Refused: another job is running.")
    page.button("drain").click()
    page.until("status", "UNAVAILABLE")
    page.until("meaning", "Job 1 still runs to its end.")
    assert service.status() == "UNAVAILABLE"
    service.kill(*service.processes("manage.py", "calculate"))  # the end of the job
    page.wait.until(lambda _: page.text("meaning") == "Drained: no new jobs.")
    assert len(service.rows()) == 1


def test_it_says_that_the_connection_is_lost_and_recovers_by_itself(service, page):
    assert service.post_job(seconds=0) == (202, {"job": 1})
    page.wait.until(lambda _: page.strip() == ["IDLE", "CALCULATING", "IDLE"])
    service.serve.send_signal(signal.SIGTERM)
    assert service.serve.wait(DEADLINE) == 0
    page.until_lost()
    service.start()
    service.until_ready()
    page.until_live()
    page.wait.until(lambda _: page.strip() == ["IDLE"])  # all processes had ended, so the state began anew
    assert service.post_job(seconds=3000) == (202, {"job": 2})
    page.until("meaning", "Job 2 is running.")


def test_it_notices_a_server_that_is_silent_but_still_connected(service, page):
    workers = service.processes("spawn_main")
    for pid in workers:
        service.kill(pid, signal.SIGSTOP)
    page.until_lost()
    for pid in workers:
        service.kill(pid, signal.SIGCONT)
    page.until_live()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 390, 1280])
def test_it_fits_the_width_and_its_text_can_be_read(service, page, width, scheme):
    show(page.driver, width, scheme)
    for status in ("IDLE", "UNAVAILABLE"):
        set_by_another_process(service, status)
        page.until("status", status)
        assert page.driver.execute_script("return document.documentElement.scrollWidth") <= width
        assert page.driver.execute_script(CONTRASTS) == []


# The text that WCAG 2 calls hard to read, beside its background: a contrast of less than 4.5.
CONTRASTS = """
const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
const rgb = (color) => {
  canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
  return [...canvas.getImageData(0, 0, 1, 1).data];
};
const light = (color) => rgb(color).slice(0, 3).map((c) => c / 255)
  .map((c) => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
  .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
const behind = (element) => {
  const color = getComputedStyle(element).backgroundColor;
  return rgb(color)[3] ? color : behind(element.parentElement);
};
const hasText = (element) => [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
return [...document.querySelectorAll("main *")]
  .filter((element) => hasText(element) && element.checkVisibility() && !element.disabled)
  .filter((element) => {
    const [a, b] = [light(getComputedStyle(element).color), light(behind(element))].sort((x, y) => x - y);
    return (b + 0.05) / (a + 0.05) < 4.5;
  })
  .map((element) => element.outerHTML);
"""
