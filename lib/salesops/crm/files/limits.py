"""How much a file may hold, so that a small one cannot fill memory, disk or a day: a bomb is refused, never worked on.

Large files are welcome: what is read in order has no limit of its own but the disk's. What has to stand in memory as a
whole (workbooks, JSON, calendars) has one, and so has everything that grows when it is unpacked.
"""

import io
from pathlib import Path

from salesops.crm.files.sink import LONGEST_CELL as CELL
from salesops.crm.files.sink import Unreadable

RATIO = 200  # times larger than packed: no table of text is
SMALL = 100 << 20  # bytes that may be unpacked whatever the ratio
LARGEST = 200 << 30  # bytes that may be unpacked at all
LINE = 16 * CELL  # bytes between two ends of lines or tags


class Budget:
    """How many bytes one file of the user may still unpack to, with all that is packed inside of it."""

    def __init__(self, path: Path):
        self.file = path.name
        self.most = self.left = min(LARGEST, max(SMALL, RATIO * path.stat().st_size))

    def take(self, n: int) -> None:
        """Note bytes that were unpacked.

        Raises
        ------
        Unreadable
            If they are more than the file may unpack to.
        """
        self.left -= n
        if self.left < 0:
            raise Unreadable(
                self.file, None, f"more than {self.most >> 20:,} MB when unpacked",
                f"a file that unpacks to at most {RATIO} times its size, and to at most {LARGEST >> 30} GB; unpack it"
                " yourself, and give what is in it",
            )  # fmt: skip


class Guard(io.RawIOBase):
    """Bytes as they come, but no endless line (or tag, where its end is the mark), and no more than a budget."""

    def __init__(self, stream, file: str, mark: bytes = b"\n", budget: Budget | None = None, longest: int = LINE):
        self.stream, self.file, self.mark, self.budget, self.longest = stream, file, mark, budget, longest
        self.length = 0  # since the last mark

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        data = self.stream.read(len(buffer))
        buffer[: len(data)] = data
        if self.budget:
            self.budget.take(len(data))
        last = data.rfind(self.mark)
        self.length = len(data) - last if last >= 0 else self.length + len(data)
        if self.length > self.longest:
            what = "a line" if self.mark == b"\n" else "a tag or a text"
            raise Unreadable(self.file, None, "", f"{what} is longer than {self.longest:,} bytes")
        return len(data)
