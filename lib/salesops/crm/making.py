"""Making the book of a source that was not seen before: the sample company, or an export by its mapping."""

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


def from_export(
    target: Path, folder: Path, spec: mapping.Mapping, *, earlier: Path | None = None, snapshots: bool = False
) -> None:
    """Write the book of an export into an empty folder.

    With `snapshots` it is a snapshot, of the day `exported_on`, added to those of the book `earlier`.

    Raises
    ------
    BadInput
        If it cannot be read; with every problem at once.
    """
    vat = spec.vat.model_dump() if spec.vat else None
    known = snapshot.earlier_stages(earlier, spec.currency, spec.days_of, vat) if earlier else []
    got = read(folder, spec, target, known)
    refused_frame(got.refused).to_parquet(target / "refused.parquet")
    about = {
        "title": spec.title,
        "currency": spec.currency,
        "minor_digits": spec.minor_digits,
        "time_zone": spec.days_of,
        "exported_on": spec.exported_on,
        "n_refused": got.n_refused,
        "refused": [problem._asdict() for problem in got.refused[:LISTED]],
        "n_left_out": got.n_left_out,
        "repairs": [repair._asdict() for repair in got.repairs],
        "notes_of_files": [list(note) for note in got.notes],
        "written": got.written,
        "converted": got.converted,
        "vat": vat,
    }
    if snapshots:
        about["snapshots"] = snapshot.add(target, earlier, spec.exported_on, spec.days_of)
    prepare.prepare(target, about)
