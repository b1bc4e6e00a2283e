"""The pages in a real browser: nothing is fetched or complained of, figures are seen, links lead on, phones suffice."""

import os
import shutil

import pytest
from playwright.sync_api import sync_playwright

from bayescal.diagnostics import comparison_report, report

CHROMIUM = os.environ.get("BAYESCAL_TEST_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
WIDTHS = {"phone": 360, "desk": 1200}

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: install it or set BAYESCAL_TEST_CHROMIUM")


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def pages(nuts_result, map_result, make_sampled, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    report(nuts_result, folder / "posterior.html")
    report(map_result, folder / "mode.html")
    report(make_sampled(diverging=3), folder / "failed.html")
    comparison_report([map_result, nuts_result], folder / "methods.html")
    comparison_report([make_sampled(seed=seed, draws=100) for seed in range(12)], folder / "runs.html")
    return folder


@pytest.fixture(params=["posterior", "mode", "failed", "methods", "runs"])
def opened(request, browser, pages):
    """A page in a window, and what it complained of or asked for."""
    page, noise = browser.new_page(), []
    page.on("console", lambda message: noise.append(message.text))
    page.on("pageerror", lambda error: noise.append(str(error)))
    page.on("request", lambda asked: noise.append(asked.url) if not asked.url.startswith(("file:", "data:")) else None)
    page.goto((pages / f"{request.param}.html").as_uri())
    yield page, noise
    page.close()


@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
def test_a_page_fits_its_window_and_shows_its_figures(opened, width):
    page, noise = opened
    page.set_viewport_size({"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    figures = page.locator("figure svg")
    assert figures.count() > 0
    for number in range(figures.count()):
        box = figures.nth(number).bounding_box()
        assert min(box["width"], box["height"]) > 60.0
        assert figures.nth(number).locator("path").count() > 3
    assert noise == []


def test_the_verdict_is_seen_without_scrolling(opened):
    page, _ = opened
    page.set_viewport_size({"width": WIDTHS["phone"], "height": 640})
    box = page.locator("#verdict").bounding_box()
    assert box["y"] + box["height"] < 640.0


def test_links_scroll_to_what_they_name(opened):
    page, noise = opened
    page.set_viewport_size({"width": WIDTHS["desk"], "height": 800})
    links = page.locator("nav a")
    assert links.count() > 3
    for number in range(links.count()):
        link = links.nth(number)
        heading = page.locator(link.get_attribute("href"))
        assert link.inner_text() == heading.inner_text()
        page.evaluate("window.scrollTo(0, 0)")
        link.click()
        at_end = page.evaluate("window.innerHeight + window.scrollY + 1 >= document.documentElement.scrollHeight")
        assert at_end or 0.0 <= heading.bounding_box()["y"] < 100.0
    assert noise == []


def test_text_is_told_from_the_ground_in_the_dark(opened):
    """Contrast of 4.5 to 1 (WCAG 2.1, criterion 1.4.3) of all text in figures and of the verdict."""
    page, _ = opened
    page.emulate_media(color_scheme="dark")
    assert page.evaluate(CONTRAST) > 4.5


def test_a_page_can_be_printed(opened):
    page, _ = opened
    assert page.pdf().startswith(b"%PDF")


CONTRAST = """() => {
  const probe = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const luminance = colour => {
    probe.clearRect(0, 0, 1, 1); probe.fillStyle = colour; probe.fillRect(0, 0, 1, 1);
    const [r, g, b] = [...probe.getImageData(0, 0, 1, 1).data].slice(0, 3).map(c => {
      c /= 255; return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = element => {
    for (let e = element; e; e = e.parentElement) {
      const colour = getComputedStyle(e).backgroundColor;
      if (!["transparent", "rgba(0, 0, 0, 0)"].includes(colour)) return colour;
    }
    return "white";
  };
  const texts = [...document.querySelectorAll("svg text"), ...document.querySelectorAll("#verdict, .verdict p")];
  return Math.min(...texts.map(text => {
    const colour = text instanceof SVGElement ? getComputedStyle(text).fill : getComputedStyle(text).color;
    const [high, low] = [luminance(colour), luminance(ground(text))].sort((a, b) => b - a);
    return (high + 0.05) / (low + 0.05);
  }));
}"""
