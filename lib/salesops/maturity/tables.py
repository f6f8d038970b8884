"""The tables of maturity: finished numbers in, finished tables out, in every language."""

from salesops import lang
from salesops.findings import Table
from salesops.lang import _
from salesops.maturity import words
from salesops.maturity.compute import Maturity
from salesops.maturity.stages import STAGES


def evidence_table(found: Maturity) -> Table:
    """Each evidence, the bands, its stage, and what to build next."""
    rows, hot = [], []
    for one in found.evidence:
        band = found.asked.evidence[one.name]
        edges = [words.value_text(one.name, edge, found) for edge in (band.efficiency, band.scale)]
        what = ""
        if one.stage is not None and one.stage < len(STAGES) - 1:
            what = band.next[STAGES[one.stage + 1]][lang.current()]
        state = words.stage_name(one.stage) if one.value is not None else words.why_not(one.why)
        n = lang.count(one.value.n) if one.value is not None else lang.NONE
        rows.append([words.evidence_name(one.name), words.evidence_meaning(one.name), words.shown(one, found), n,
        *edges,
                     state, what])  # fmt: skip
        hot.append(one.stage is not None and found.stage is not None and one.stage < found.stage)
    columns = [_("Evidence"), _("What it is"), _("Value"), _("n"), _("Efficiency from"), _("Scale from"), _("Stage"),
               _("To build next")]  # fmt: skip
    kinds = [False, False, True, True, True, True, False, False]
    return Table(_("Evidence from the data"), columns, rows, kinds, hot, [words.note()])


def checklist_table(found: Maturity) -> Table | None:
    """What no data shows, as the team answered it."""
    if not found.asked.checklist:
        return None
    state = {True: _("there"), False: _("not there"), "unknown": _("not answered")}
    rows = [[item.what[lang.current()], words.stage_name(STAGES.index(item.stage)), state[item.done]]
            for item in sorted(found.asked.checklist, key=lambda item: STAGES.index(item.stage))]  # fmt: skip
    notes = [_("Answered by the team in the file of stages; it does not count towards the stage.")]
    return Table(_("What no data shows"), [_("What"), _("Of the stage"), _("State")], rows, [False] * 3, notes=notes)
