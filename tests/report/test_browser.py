"""The report page in headless Chromium, on a phone and on a wide screen."""

import html
import re
import shutil
import subprocess

import pytest
from written import write_drawing, write_run

from fgsbir.report.page import write_report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
QUIET += [
    "--disable-background-networking",
    "--disable-component-update",
    "--hide-scrollbars",
    "--enable-logging=stderr",
]

FRAMES = """<!doctype html><body><script>
addEventListener("load", () => {
  for (const frame of document.querySelectorAll("iframe")) {
    const page = frame.contentDocument, width = page.documentElement.clientWidth;
    page.querySelectorAll("details").forEach((details) => (details.open = true));
    const wide = [...page.querySelectorAll("body *")].filter((element) => {
      const box = element.getBoundingClientRect();
      return box.width && (box.right > width + 1 || box.left < -1) && !element.closest(".scroll, .symbols");
    });
    const images = [...page.images].filter((image) => !image.naturalWidth);
    frame.title = `${width} wide, ${page.documentElement.scrollWidth} needed, ${images.length} broken, ` +
      `too wide: ${wide.slice(0, 3).map((element) => element.outerHTML.slice(0, 60))}`;
    frame.removeAttribute("srcdoc");
  }
});
</script>"""


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_nothing_overflows_and_nothing_is_wrong_on_a_phone_and_on_a_wide_screen(tmp_path):
    for recipe in ("modern", "paper"):
        for name in ("b_siamese", "proposed", "proposed_coarse", "proposed_coarse_plus", "proposed_k8", "proposed_k20"):
            for seed in range(2):
                system = "B-Siamese" if name == "b_siamese" else "Proposed"
                stem = name if recipe == "modern" else f"{name}_paper"
                with_tree = {"hierarchy": name == "proposed", "query_ms": 12.5, "peak_memory_mib": 3000.0}
                write_run(
                    tmp_path / "runs", system, seed, f"chair_v2/{stem}", dataset="chair_v2", recipe=recipe, **with_tree
                )
                write_drawing(tmp_path / "runs" / "chair_v2" / stem / f"0123abcd-s{seed}")
    page = write_report(tmp_path / "runs", tmp_path / "out").read_text("utf-8")
    frames = "".join(f'<iframe width="{w}" height="900" srcdoc="{html.escape(page)}"></iframe>' for w in (400, 1400))
    (tmp_path / "frames.html").write_text(FRAMES + frames, "utf-8")
    command = [CHROMIUM, *QUIET, f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=20000", "--dump-dom"]
    done = subprocess.run(
        [*command, (tmp_path / "frames.html").as_uri()], capture_output=True, text=True, timeout=300, check=True
    )
    found = re.findall(r'<iframe[^>]* title="([^"]+)"', done.stdout)
    assert found == [f"{width} wide, {width} needed, 0 broken, too wide: " for width in (400, 1400)]
    assert not [line for line in done.stderr.splitlines() if "CONSOLE" in line]
