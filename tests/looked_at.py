"""Look at a page as its readers do: at several widths, light and dark, with a keyboard; and by axe-core's rules."""

import base64
import functools
import hashlib
import os
import shutil
import subprocess
import tarfile
import urllib.parse
from pathlib import Path

import pytest
from chromium import PROGRAM, Chromium

WIDTHS = {360: "dark", 768: "light", 1280: "light"}
"""Of the window in pixels, and what is drawn there."""
AXE = "4.14.1"
AXE_INTEGRITY = "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="
"""SHA-512 of the package, as its registry writes it."""
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"), "hyperinf-tests")
_TABS = 25


@functools.cache
def missing() -> str:
    """Say what is missing to look at pages; ``""`` for nothing."""
    if PROGRAM is None:
        return "no chromium: Debian's package of that name"
    try:
        axe()
    except (OSError, subprocess.SubprocessError) as error:
        return f"axe-core {AXE} is not to be had with npm: {error}"
    return ""


def needed() -> None:
    """Skip a test where something is missing, or fail where it is required."""
    if missing() and os.environ.get("HYPERINF_TEST_BROWSER") == "required":
        pytest.fail(missing())
    if missing():
        pytest.skip(missing())


@functools.cache
def axe() -> str:
    """Fetch axe-core once, and give its program."""
    package = CACHE / f"axe-core-{AXE}.tgz"
    if not package.is_file():
        program = shutil.which("npm")
        if program is None:
            raise FileNotFoundError("no npm")
        made = CACHE / f"{os.getpid()}"
        made.mkdir(parents=True, exist_ok=True)
        command = [program, "pack", "--silent", f"axe-core@{AXE}", "--pack-destination", str(made)]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
        (made / package.name).replace(package)
        made.rmdir()
    content = package.read_bytes()
    found = base64.b64encode(hashlib.sha512(content).digest()).decode()
    if found != AXE_INTEGRITY:
        package.unlink()
        raise OSError(f"{package}: got a package with another SHA-512, expected {AXE_INTEGRITY}")
    with tarfile.open(package) as archive:
        stream = archive.extractfile("package/axe.min.js")
        assert stream is not None
        return stream.read().decode()


_FOUND = """(async () => {
  const found = await axe.run(document, {resultTypes: ["violations"]});
  return found.violations.map(({id, help, nodes: [first, ...more]}) =>
    `${id}: ${help}: ${first.html.slice(0, 160)} (${first.any[0]?.message}), and ${more.length} more`);
})()"""
_UNFOLDED = "document.querySelectorAll('details').forEach(each => each.open = true)"
_TOO_WIDE = """(() => {
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= width) return [];
  const beyond = each => each.getBoundingClientRect().right > width + 1 && !each.closest(".wide");
  const found = [...document.querySelectorAll("main *")].filter(beyond).slice(0, 3);
  const named = found.map(each => each.outerHTML.slice(0, 120));
  return [`${document.documentElement.scrollWidth} wide, of ${width}: ${named.join(" | ")}`];
})()"""
_LINKS = "[...document.querySelectorAll('a[href]')].map(each => each.getAttribute('href'))"
_SEEN = """(() => {
  const aim = document.getElementById(%r);
  if (!aim) return "nothing has that name";
  document.querySelectorAll("details").forEach(each => each.open = false);
  scrollTo(0, 0);
  location.hash = %r;
  return new Promise(done => {
    const look = left => {
      const box = aim.getBoundingClientRect();
      if (box.height && box.bottom > 0 && box.top < innerHeight) done("");
      else if (left) setTimeout(look, 20, left - 1); else done(`is at ${Math.round(box.top)}, not in the window`);
    };
    setTimeout(look, 20, 100);
  });
})()"""
_FOCUSED = """(() => {
  const each = document.activeElement, box = each.getBoundingClientRect(), look = getComputedStyle(each);
  const seen = box.width > 0 && box.right > 0 && box.left < innerWidth && look.outlineStyle !== "none";
  return [each.outerHTML.slice(0, 120), seen || each === document.body];
})()"""


def faults(page: Path, browser: Chromium) -> list[str]:
    """List what is wrong with a page, each with where; nothing if all is well."""
    found: list[str] = []
    browser.requests.clear()
    for width, scheme in WIDTHS.items():
        browser.open(page, width, scheme=scheme)
        found += [f"{width}: {each}" for each in browser.run(_TOO_WIDE)]
        browser.run(_UNFOLDED)
        found += [f"{width}, unfolded: {each}" for each in browser.run(_TOO_WIDE)]
        if width in (min(WIDTHS), max(WIDTHS)):
            browser.run(f"{axe()};0")
            found += [f"{width}, {scheme}: {each}" for each in browser.run(_FOUND)]
    return found + _links(page, browser) + _keyboard(page, browser) + _from_outside(page, browser)


def _links(page: Path, browser: Chromium) -> list[str]:
    """Follow every link, those to places with all folded before."""
    browser.open(page)
    found = []
    for link in dict.fromkeys(browser.run(_LINKS)):
        if link.startswith("#"):
            name = urllib.parse.unquote(link[1:])
            if told := browser.run(_SEEN % (name, name)):
                found.append(f"link {link}: {told}")
        elif "://" in link or not (page.parent / urllib.parse.unquote(link.partition("#")[0])).is_file():
            found.append(f"link {link}: no such file")
    return found


def _keyboard(page: Path, browser: Chromium) -> list[str]:
    """Walk through what can be reached by the keyboard: each is to be seen where it has the focus."""
    browser.open(page)
    found = []
    for _ in range(_TABS):
        browser.press("Tab")
        what, seen = browser.run(_FOCUSED)
        if not seen:
            found.append(f"keyboard: not to be seen with the focus: {what}")
    return found


def _from_outside(page: Path, browser: Chromium) -> list[str]:
    own = (page.resolve().as_uri(), "data:", "about:")
    return [f"asks for {url[:120]}" for url in dict.fromkeys(browser.requests) if not url.startswith(own)]
