"""The same bytes on every processor: pictures are rounded, and no page hangs on how a processor adds."""

import io
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from salesops import theme
from salesops.report import jobs, spark, svg

from tests.test_runner import write_pack

CORE = """
import ctypes, pathlib, numpy
library = next((pathlib.Path(numpy.__file__).parents[1] / "numpy.libs").glob("*openblas*"))
name = ctypes.CDLL(str(library)).scipy_openblas_get_corename64_
name.restype = ctypes.c_char_p
print(name().decode())
"""


def test_coordinates_are_rounded_and_nothing_else_is():
    drawn = (
        '<path d="M 33.50024 229.896049 \nL -0.001 .5 z" style="opacity: 0.12345"/><use x="1.005000" y="2.995"/>'
        '<text transform="translate(49.951144 241.56475) scale(0.012345)" id="v1.23456">3.14159</text>'
    )
    assert svg.rounded(drawn) == (
        '<path d="M 33.5 229.9 \nL 0 .5 z" style="opacity: 0.12"/><use x="1" y="3"/>'
        '<text transform="translate(49.95 241.56) scale(0.012345)" id="v1.23456">3.14159</text>'
    )


def test_ids_that_are_referred_to_are_numbered():
    drawn = '<g id="axes_1"><path clip-path="url(#p7d7c)"/><use href="#m12"/></g><defs id="m12"/><defs id="p7d7c"/>'
    assert svg.named(drawn, "f1-") == (
        '<g id="f1-axes_1"><path clip-path="url(#f1-ref_2)"/><use href="#f1-ref_1"/></g>'
        '<defs id="f1-ref_1"/><defs id="f1-ref_2"/>'
    )


def test_a_picture_is_the_same_after_rounding():
    """The last bits of what is drawn reach neither the coordinates nor the ids of clips and markers."""

    def picture(noise: float) -> str:
        theme.apply()
        figure = theme.figure(3)
        ax = figure.subplots()
        ax.plot(np.arange(9) + noise, np.sqrt(np.arange(9)) * (1 + noise), "o-")
        ax.bar([0.5, 2.5], [0.125 + noise, 1.75], alpha=1 / 3 + noise)
        ax.set_ylim(0, 3.1 + noise)
        figure.savefig(stream := io.StringIO(), format="svg", metadata={"Date": None})
        return svg.named(svg.rounded(stream.getvalue()), "f1-")

    assert picture(0.0) == picture(1e-13) == picture(-1e-13)
    assert not re.search(r'\b(?:d|x|y)="[^"]*\.\d{3}', picture(0.0))


def test_a_small_line_is_the_same_after_rounding():
    """Halves of a tenth of a point, as evenly spaced values have them, are written alike."""
    even = np.arange(17) / 16 * 0.3
    assert spark.line(even) == spark.line(even * (1 + 4e-16)) == spark.line(np.nextafter(even, 1))


def kernels() -> list[str]:
    """Two of OpenBLAS's kernels for x86 that this machine can run: its own, and one without what it adds with."""
    cpu = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    newest = "SkylakeX" if "avx512f" in cpu else "Haswell" if "avx2" in cpu else "Prescott"
    return [newest, "Nehalem" if newest != "Prescott" else "Core2"]


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() not in {"x86_64", "AMD64"}, reason="these kernels of OpenBLAS are for x86")
def test_a_page_of_each_question_is_the_same_under_two_kernels(root, tmp_path):
    for name in ("notebooks", "params"):
        shutil.copytree(root / name, tmp_path / name)
    pack = write_pack(tmp_path, *({"run": question} for question in jobs.analyses(root)))
    pages = []
    for kernel in kernels():
        environment = {**os.environ, "OPENBLAS_CORETYPE": kernel}
        run = subprocess.run([sys.executable, "-c", CORE], env=environment, check=True, capture_output=True, text=True)
        assert run.stdout.strip() == kernel  # or nothing would be compared
        command = [sys.executable, "-m", "salesops", "report", str(pack), "--out", str(tmp_path / kernel)]
        subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True, timeout=900)
        pages.append({path.name: path.read_bytes() for path in (tmp_path / kernel).rglob("*.html")})
    differ = [name for name in pages[0] if pages[0][name] != pages[1].get(name)]
    assert set(pages[0]) == set(pages[1]) and not differ
