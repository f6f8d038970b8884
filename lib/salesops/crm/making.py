"""Making the book of a source that was not seen before: the sample company, or an export by its mapping."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from salesops.crm import mapping, prepare, sample, snapshot
from salesops.crm.read import read, refused_frame
from salesops.crm.source import Located

LISTED = 200  # refused rows that the page can show


def make(target: Path, located: Located) -> None:
    """Write the book of a located source into an empty folder."""
    if located.files is None:
        sample.write(target, sample.parse_size(located.settings))
    else:
        from_export(target, located.files, mapping.load(located.mapping))


def from_export(target: Path, folder: Path, spec: mapping.Mapping) -> None:
    """Write the book of an export into an empty folder.

    Raises
    ------
    BadInput
        If it cannot be read; with every problem at once.
    """
    about = read_tables(target, folder, spec)
    snapshot.drop_refused(target)
    prepare.prepare(target, about)


def from_snapshots(target: Path, snapshots: Mapping[str, Path]) -> None:
    """Write the book of snapshots (day -> folder) into an empty folder."""
    prepare.prepare(target, snapshot.derive(target, snapshots))


def read_tables(target: Path, folder: Path, spec: mapping.Mapping, known: Sequence[dict] = ()) -> dict:
    """Write the tables of an export, as they are read, into an empty folder; what is known of the source.

    Parameters
    ----------
    known : stages of earlier exports of the same source, in their order.
    """
    got = read(folder, spec, target, known)
    refused_frame(got.refused).to_parquet(target / "refused.parquet")
    return {
        "title": spec.title,
        "currency": spec.currency,
        "minor_digits": spec.minor_digits,
        "time_zone": spec.days_of,
        "exported_on": spec.exported_on,
        "n_refused": got.n_refused,
        "n_refused_without_id": got.n_without_id,
        "n_refused_without_key": got.n_without_key,
        "refused": [problem._asdict() for problem in got.refused[:LISTED]],
        "n_left_out": got.n_left_out,
        "repairs": [repair._asdict() for repair in got.repairs],
        "notes_of_files": [list(note) for note in got.notes],
        "written": got.written,
        "converted": got.converted,
        "stages_derived": got.stages_derived,
        "vat": spec.vat.model_dump() if spec.vat else None,
    }
