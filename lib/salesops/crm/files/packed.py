"""Files inside archives (tar, zip), unpacked one after the other under names of our own."""

import fnmatch
import gzip
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from salesops.crm.files.sink import Unreadable

MOST_FILES = 100_000
RATIO = 200  # times larger than packed: no table of text is
SMALL = 100 << 20  # bytes that may be unpacked whatever the ratio


def members(path: Path, inside: str, spool: Path) -> Iterator[tuple[str, Path]]:
    """The files of an archive whose names fit a pattern, sorted by name: each name, and where it lies now.

    Raises
    ------
    Unreadable
        If it is no archive, none fits, or it unpacks to unreasonably much.
    """
    target = spool / "member"
    try:
        with _Archive(path) as archive:
            names = sorted(name for name in archive.names() if _fits(name, inside))
            if not names:
                raise Unreadable(path.name, None, inside, "a file of that name in the archive")
            budget = max(SMALL, RATIO * path.stat().st_size)
            for name in archive.ordered(names):
                budget = _spool(archive.open(name), target, budget, path)
                yield f"{path.name}/{PurePosixPath(name).name}", target
                target.unlink()
    except (
        tarfile.TarError,
        zipfile.BadZipFile,
        OSError,
        EOFError,
        zlib.error,
        NotImplementedError,
        RuntimeError,
    ) as error:
        raise Unreadable(path.name, None, "", f"not readable as an archive: {error}") from None


def unzip(path: Path, spool: Path) -> Path:
    """One gzipped file, unpacked."""
    target = spool / "unzipped"
    try:
        with gzip.open(path) as stream:
            _spool(stream, target, max(SMALL, RATIO * path.stat().st_size), path)
    except (OSError, EOFError, zlib.error) as error:
        raise Unreadable(path.name, None, "", f"not readable as gzip: {error}") from None
    return target


def _fits(name: str, inside: str) -> bool:
    return fnmatch.fnmatchcase(name, inside) or fnmatch.fnmatchcase(PurePosixPath(name).name, inside)


def _spool(stream, target: Path, budget: int, path: Path) -> int:
    with stream, target.open("wb") as out:
        while block := stream.read(1 << 20):
            budget -= len(block)
            if budget < 0:
                raise Unreadable(path.name, None, "", f"an archive that unpacks to at most {RATIO} times its size")
            out.write(block)
    return budget


class _Archive:
    """Tar and zip alike."""

    def __init__(self, path: Path):
        self.zipped = zipfile.is_zipfile(path)
        self.file = zipfile.ZipFile(path) if self.zipped else tarfile.open(path)  # noqa: SIM115  closed on exit

    def __enter__(self):
        return self

    def __exit__(self, *_error) -> None:
        self.file.close()

    def names(self) -> list[str]:
        if self.zipped:
            found = [m.filename for m in self.file.infolist() if not m.is_dir()]
        else:
            found = [m.name for m in self.file if m.isfile()]
        if len(found) > MOST_FILES or len(set(found)) < len(found):
            raise Unreadable("archive", None, f"{len(found)} files", f"at most {MOST_FILES} files, each name once")
        return found

    def ordered(self, names: list[str]) -> list[str]:
        """In the order they are packed, which a compressed tar is read in without going back."""
        wanted = set(names)
        return [name for name in self.names() if name in wanted] if not self.zipped else names

    def open(self, name: str):
        return self.file.open(name) if self.zipped else self.file.extractfile(name)
