"""Files inside archives (tar, zip), unpacked one after the other under names of our own."""

import bz2
import fnmatch
import gzip
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from salesops.crm.files.limits import Budget
from salesops.crm.files.sink import Unreadable

MOST_FILES = 100_000
PACKED = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}  # first bytes -> how a tar is unpacked


def members(path: Path, inside: str, spool: Path, budget: Budget) -> Iterator[tuple[str, Path]]:
    """The files of an archive whose names fit a pattern, sorted by name: each name, and where it lies now.

    Raises
    ------
    Unreadable
        If it is no archive, none fits, or it unpacks to unreasonably much.
    """
    target, whole = spool / "member", spool / "archive"
    try:
        with _Archive(_unpacked(path, whole, budget), path.name) as archive:
            names = sorted(name for name in archive.names() if _fits(name, inside))
            if not names:
                raise Unreadable(path.name, None, inside, "a file of that name in the archive")
            for name in archive.ordered(names):
                _spool(archive.open(name), target, budget)
                yield f"{path.name}/{PurePosixPath(name).name}", target
                target.unlink()
    except (
        tarfile.TarError,
        zipfile.BadZipFile,
        OSError,
        EOFError,
        zlib.error,
        lzma.LZMAError,
        NotImplementedError,
        RuntimeError,
    ) as error:
        raise Unreadable(path.name, None, "", f"not readable as an archive: {error}") from None
    finally:
        whole.unlink(missing_ok=True)


def unzip(path: Path, file: str, spool: Path, budget: Budget) -> Path:
    """One gzipped file, unpacked."""
    target = spool / "unzipped"
    try:
        with gzip.open(path) as stream:
            _spool(stream, target, budget)
        with target.open("rb") as stream:
            again = stream.read(2) == b"\x1f\x8b"
    except (OSError, EOFError, zlib.error) as error:
        raise Unreadable(file, None, "", f"not readable as gzip: {error}") from None
    if again:
        raise Unreadable(file, None, "gzip inside gzip", "a file that is gzipped once; unpack it")
    return target


def _unpacked(path: Path, target: Path, budget: Budget) -> Path:
    """A tar without its compression, so that listing its names unpacks no more than may be; a zip as it is."""
    with path.open("rb") as stream:
        head = stream.read(6)
    how = next((open_ for mark, open_ in PACKED.items() if head.startswith(mark)), None)
    if how is None or zipfile.is_zipfile(path):
        return path
    _spool(how(path), target, budget)
    return target


def _fits(name: str, inside: str) -> bool:
    return fnmatch.fnmatchcase(name, inside) or fnmatch.fnmatchcase(PurePosixPath(name).name, inside)


def _spool(stream, target: Path, budget: Budget) -> None:
    with stream, target.open("wb") as out:
        while block := stream.read(1 << 20):
            budget.take(len(block))
            out.write(block)


class _Archive:
    """Tar and zip alike."""

    def __init__(self, path: Path, file: str):
        self.name, self.zipped = file, zipfile.is_zipfile(path)
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
            raise Unreadable(self.name, None, f"{len(found):,} files", f"at most {MOST_FILES:,} files, each name once")
        return found

    def ordered(self, names: list[str]) -> list[str]:
        """In the order they are packed, which a compressed tar is read in without going back."""
        wanted = set(names)
        return [name for name in self.names() if name in wanted] if not self.zipped else names

    def open(self, name: str):
        return self.file.open(name) if self.zipped else self.file.extractfile(name)
