"""What a person reads of an evaluation: two plots and one page that needs no other file. No face is in any of them."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from cordon.evaluation.calibration import NotSupported, OperatingPoint
from cordon.evaluation.groups import LEAST_IDENTITIES, GroupResults, PartResult, QualityResults, Share
from cordon.evaluation.protocol import NotCounted
from cordon.evaluation.rates import Point

DET, TPIR_AT_FPIR, PAGE = "det.png", "tpir_at_fpir.png", "report.html"
FPIRS_SHOWN = (0.1, 0.03, 0.01, 0.003)
_INK, _BAND = "#14508c", "#b9d2ec"
_NOT_COUNTED = {
    "unreadable": "unreadable pictures, left out",
    "no_face_reference": "pictures without a face, replaced as reference by the identity's next picture",
    "no_face_mated": "mated probes without a face, counted as not found",
    "no_face_non_mated": "non-mated probes without a face, left out of FPIR",
    "not_enrolled": "identities without any usable reference, left out",
}


@dataclass(frozen=True)
class Derived:
    """What the calibration supports for a list and a budget: a threshold, or the sentence that refuses one."""

    list_size: int
    budget: float
    outcome: OperatingPoint | NotSupported


@dataclass(frozen=True)
class Report:
    pack: str
    data: str
    limits: str
    measured_on: str
    command: str
    machine: str
    list_size: int
    lists: int
    mated: int
    non_mated: int
    rank1: float
    not_counted: NotCounted
    points: Sequence[Point]
    threshold: float
    quality: Sequence[QualityResults]
    groups: GroupResults | None
    derived: Sequence[Derived]


def write(report: Report, folder: Path) -> list[Path]:
    """The two plots and the page, in `folder`, which is made if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    det, tpir = det_plot(report), tpir_plot(report)
    files = {DET: det, TPIR_AT_FPIR: tpir, PAGE: _page(report, det, tpir).encode()}
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return [folder / name for name in files]


def det_plot(report: Report) -> bytes:
    """Detection error trade-off: share of mated probes that were missed against FPIR, both logarithmic; a PNG."""
    figure, axes = _axes(report, "FPIR", "FNIR = 1 − TPIR")
    shown = _frontier(report.points)
    fpir, fnir = [p.fpir for p in shown], [max(1 - p.tpir, 1e-4) for p in shown]
    low, high = [max(1 - p.tpir_high, 1e-4) for p in shown], [max(1 - p.tpir_low, 1e-4) for p in shown]
    axes.fill_between(fpir, low, high, color=_BAND, linewidth=0, step="post")
    axes.plot(fpir, fnir, color=_INK, drawstyle="steps-post")
    axes.set_xscale("log")
    axes.set_yscale("log")
    return _png(figure)


def tpir_plot(report: Report) -> bytes:
    """TPIR against FPIR with the intervals of both at the rates people ask for; a PNG."""
    figure, axes = _axes(report, "FPIR", "TPIR (rank 1)")
    shown = _frontier(report.points)
    fpir = [p.fpir for p in shown]
    low, high = [p.tpir_low for p in shown], [p.tpir_high for p in shown]
    axes.fill_between(fpir, low, high, color=_BAND, linewidth=0, step="post")
    axes.plot(fpir, [p.tpir for p in shown], color=_INK, drawstyle="steps-post")
    for point in _at_fpirs(report.points):
        if point.fpir > 0:
            spread = [[point.fpir - point.fpir_low], [point.fpir_high - point.fpir]]
            axes.errorbar([point.fpir], [point.tpir], xerr=spread, color=_INK, marker="o", markersize=4, capsize=3)
    axes.set_xscale("log")
    return _png(figure)


def _frontier(points: Sequence[Point]) -> list[Point]:
    """For each FPIR above zero the point that finds most, by rising FPIR."""
    best: dict[float, Point] = {}
    for point in sorted(points, key=lambda point: point.threshold):
        if point.fpir > 0:
            best.setdefault(point.fpir, point)
    return sorted(best.values(), key=lambda point: point.fpir)


def _at_fpirs(points: Sequence[Point]) -> list[Point]:
    """For each rate that people ask for, the lowest threshold that keeps it; each point once."""
    kept = [
        next((p for p in sorted(points, key=lambda p: p.threshold) if p.fpir <= rate), None) for rate in FPIRS_SHOWN
    ]
    return list(dict.fromkeys(point for point in kept if point is not None))


def _axes(report: Report, across: str, up: str):  # type: ignore[no-untyped-def]
    figure = Figure(figsize=(6.4, 4.4), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_title(
        f"{report.pack}, list of {report.list_size:,}: {report.mated:,} mated, {report.non_mated:,} non-mated"
    )
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.grid(visible=True, which="both", color="#dddddd", linewidth=0.5)
    axes.set_axisbelow(True)
    return figure, axes


def _png(figure: Figure) -> bytes:
    out = io.BytesIO()
    figure.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()


def _page(report: Report, det: bytes, tpir: bytes) -> str:
    counted = [(_NOT_COUNTED[name], number) for name, number in report.not_counted.counts().items()]
    body = [
        f"<h1>{_text(report.pack)}: identification against a list of {report.list_size:,}</h1>",
        f"<p>{_text(report.data)}. {_text(report.limits)}</p>",
        f"<p>{report.mated:,} mated probes, {report.non_mated:,} non-mated probes; "
        + (f"{report.lists} lists drawn at random. " if report.lists > 1 else "one list, the whole gallery. ")
        + f"Rank 1: {report.rank1:.1%}. Measured on {_text(report.measured_on)}, {_text(report.machine)}. "
        "Intervals are 95 %, two-sided; dependent probes are counted for less.</p>",
        f"<pre>{_text(report.command)}</pre>",
        "<h2>Rates</h2>",
        _table(
            ("Threshold", "TPIR", "95 %", "FPIR", "95 %"),
            [
                (
                    f"{p.threshold:.3f}",
                    _rate(p.tpir),
                    _span(p.tpir_low, p.tpir_high),
                    _rate(p.fpir),
                    _span(p.fpir_low, p.fpir_high),
                )
                for p in _at_fpirs(report.points)
            ],
        ),
        _picture("Detection error trade-off", det),
        _picture("TPIR at FPIR", tpir),
        "<h2>Thresholds that this supports</h2>",
        _table(("List", "Budget", "Threshold", "TPIR", "95 %"), [_derived(one) for one in report.derived]),
        f"<h2>Picture quality, at threshold {report.threshold:.3f}</h2>",
        *[_parts(quality.measure, quality.parts) for quality in report.quality],
        f"<h2>Groups, at threshold {report.threshold:.3f}</h2>",
        *_groups(report.groups),
        "<h2>Pictures that could not be used as they should</h2>",
        _table(("What", "How many"), [(what, f"{number:,}") for what, number in counted]),
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>'
        f"{_text(report.pack)}</title><style>body{{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;"
        "padding:0 1rem;color:#1a1a1a}table{border-collapse:collapse;margin:1rem 0}td,th{padding:.3rem .8rem;"
        "border-bottom:1px solid #ccc;text-align:left}img{max-width:100%}pre{white-space:pre-wrap}</style></head><body>"
        + "\n".join(body)
        + "</body></html>\n"
    )


def _groups(groups: GroupResults | None) -> list[str]:
    if groups is None:
        return ["<p>No labels were supplied, and none are guessed.</p>"]
    small = [part.name for part in groups.parts if part.too_small]
    said = [_parts("Group", groups.parts)]
    if small:
        said.append(f"<p>Too small to judge (fewer than {LEAST_IDENTITIES} identities): {_text(', '.join(small))}.</p>")
    said.append(
        f"<p>{groups.unlabelled:,} identities have no label; {groups.unknown:,} labels name nobody in the data. "
        "Each group's probes are searched against the whole list, so its make-up counts too.</p>"
    )
    return said


def _parts(title: str, parts: Iterable[PartResult]) -> str:
    return _table(
        (title, "Mated probes", "TPIR", "95 %", "Non-mated probes", "FPIR", "95 %"),
        [
            (part.name, *_share(part.tpir, part.mated_identities), *_share(part.fpir, part.non_mated_identities))
            for part in parts
        ],
    )


def _share(share: Share | None, identities: int) -> tuple[str, str, str]:
    if share is None:
        return f"{identities:,} identities", "too few", ""
    return f"{share.probes:,}", _rate(share.rate), _span(share.low, share.high)


def _derived(one: Derived) -> tuple[str, ...]:
    size, budget = f"{one.list_size:,}", f"1 in {round(1 / one.budget):,}"
    if isinstance(one.outcome, NotSupported):
        return size, budget, "not supported", "", ""
    point = one.outcome
    return size, budget, f"{point.threshold:.3f}", _rate(point.tpir), _span(point.tpir_low, point.tpir_high)


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{_text(cell)}</th>" for cell in heads)
    lines = "".join("<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>"


def _picture(words: str, png: bytes) -> str:
    return f'<p><img alt="{_text(words)}" src="data:image/png;base64,{base64.b64encode(png).decode()}"></p>'


def _rate(rate: float) -> str:
    return f"{rate:.1%}" if rate >= 0.1 or rate == 0 else f"{rate:.2%}"


def _span(low: float, high: float) -> str:
    return f"{_rate(low)} – {_rate(high)}"


def _text(words: str) -> str:
    return html.escape(words)
