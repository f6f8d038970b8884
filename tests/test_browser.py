"""The page as a browser shows it: on a screen and a telephone, with scripts and the network forbidden."""

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def page(salesops, tmp_path_factory):
    out = tmp_path_factory.mktemp("reports")
    assert salesops("report", "params/funnel.yml", "--out", out, "--lang", "ru").returncode == 0
    return out / "2026-10" / "funnel.ru.html"


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_overflows_and_every_picture_is_readable(browser, page, width):
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 800},
    )
    browser.get(page.as_uri())
    script = browser.execute_script
    assert script("return document.documentElement.scrollWidth") == width
    sizes = script(
        "return [...document.querySelectorAll('figure svg text')].map(t => t.getBoundingClientRect().height)"
    )
    assert len(sizes) > 20 and min(sizes) >= 8
    boxes = script(
        "return [...document.querySelectorAll('figure svg')].map(s => { const a = s.getBoundingClientRect();"
        "return Math.max(...[...s.querySelectorAll('text')].map(t => t.getBoundingClientRect().right)) - a.right })"
    )
    assert max(boxes) <= 20, "a label runs out of its picture"
    assert not [entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]


def test_contrast_of_text_is_enough(browser, page):
    """WCAG AA: 4.5 to 1 for every text on its background."""
    browser.get(page.as_uri())
    colours = browser.execute_script("""
        const seen = new Set();
        for (const e of document.querySelectorAll('body *')) {
            if (!e.childNodes.length || ![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())) continue;
            const clear = 'rgba(0, 0, 0, 0)';
            let back = e;
            while (back && getComputedStyle(back).backgroundColor === clear) back = back.parentElement;
            const ground = back ? getComputedStyle(back).backgroundColor : 'rgb(255, 255, 255)';
            const svg = e.ownerSVGElement;
            seen.add((svg ? getComputedStyle(e).fill : getComputedStyle(e).color) + '|' + ground);
        }
        return [...seen];
    """)
    for pair in colours:
        text, ground = (_luminance(colour) for colour in pair.split("|"))
        ratio = (max(text, ground) + 0.05) / (min(text, ground) + 0.05)
        assert ratio >= 4.5, pair


def _luminance(colour: str) -> float:
    parts = [int(float(part)) / 255 for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
