"""`cordon models evaluate`: how well a pack identifies on given photographs, and its calibration."""

from __future__ import annotations

import json
import os
import platform
import shlex
import sys
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cordon.evaluation.calibrate import calibrate, write_calibration
from cordon.evaluation.calibration import Calibration, NotSupported, OperatingPoint, threshold_for
from cordon.evaluation.groups import GroupResults, Share, by_group, by_quality, read_labels
from cordon.evaluation.protocol import Collected, NotEvaluable, collect, identity_folder
from cordon.evaluation.rates import Point, Searches, points, rates_at, search, threshold_at_fpir
from cordon.vision.packs import PackUnavailable, calibration_file, load_pack

if TYPE_CHECKING:
    from cordon.evaluation.report import Derived

# The measured FPIR at which picture quality and groups are compared.
COMPARED_AT_FPIR = 0.01
SHOWN_FPIRS = (0.1, 0.01)
BUDGETS = (0.1, 0.01, 0.001, 0.0001)
NO_LIMITS = "What these photographs say about cameras in a street was not stated."


@click.command()
@click.argument("faces", type=click.Path(path_type=Path))
@click.option("--pack", "pack_name", help="The model pack; without it the one that would be used.")
@click.option("--list-size", type=int, help="Entries of the list; without it the whole gallery.")
@click.option("--json", "as_json", is_flag=True, help="Print the rates as JSON, and nothing else.")
@click.option("--out", type=click.Path(path_type=Path), help="A folder for plots and the report.")
@click.option("--groups", type=click.Path(path_type=Path), help="CSV identity,group: labels of the data's owner.")
@click.option("--write-calibration", "writes", is_flag=True, help="Keep the calibration for this installation.")
@click.option("--data", help="What the photographs are; whoever signs for the pack's use reads it.")
@click.option("--limits", default=NO_LIMITS, help="What the photographs say nothing about; it is read likewise.")
@click.option("--seed", type=int, default=0, show_default=True, help="For lists shorter than the gallery.")
def evaluate(
    faces: Path,
    pack_name: str | None,
    list_size: int | None,
    as_json: bool,
    out: Path | None,
    groups: Path | None,
    writes: bool,
    data: str | None,
    limits: str,
    seed: int,
) -> None:
    """TPIR and FPIR of a pack on FACES, a folder of <identity>/<n>.jpg, against a list of N entries."""
    try:
        labels = None if groups is None else read_labels(groups)
        pack = load_pack(pack_name, threads=min(2, os.cpu_count() or 1))
        folder = identity_folder(faces)
        collected = collect(pack, folder, _progress())
        searches = search(collected, list_size, seed=seed)
        if writes and searches.list_size != searches.gallery_size:
            raise NotEvaluable("A calibration is made with the whole gallery: leave --list-size out.")
        whole = search(collected)
        calibration = calibrate(
            collected,
            whole,
            data=data or f"the photographs of the folder {folder.name}",
            limits=limits,
            measured_on=datetime.now(UTC).date(),
        )
    except (NotEvaluable, PackUnavailable) as refused:
        raise click.ClickException(str(refused)) from refused
    measured = points(searches)
    threshold = threshold_at_fpir(searches, COMPARED_AT_FPIR)
    grouped = None if labels is None else by_group(collected, searches, labels, threshold)
    for what, number in collected.not_counted.counts().items():
        if number:
            click.echo(f"{what}: {number}", err=True)
    if as_json:
        click.echo(json.dumps(_as_json(collected, searches, measured)))
    else:
        _print(collected, searches, calibration, grouped)
    if out is not None:
        _write_report(out, collected, searches, measured, threshold, grouped, calibration)
    if writes:
        path = calibration_file(pack.manifest)
        try:
            write_calibration(calibration, path)
        except OSError as error:
            raise click.ClickException(f"{path} cannot be written ({error.strerror}).") from error
        click.echo(f"Calibration written to {path}.", err=True)


def _as_json(collected: Collected, searches: Searches, measured: list[Point]) -> dict[str, object]:
    return {
        "pack": collected.pack,
        "list_size": searches.list_size,
        "mated": searches.mated_probes,
        "non_mated": searches.non_mated_probes,
        "rank1": searches.rank1,
        "points": [asdict(point) for point in measured],
    }


def _print(collected: Collected, searches: Searches, calibration: Calibration, groups: GroupResults | None) -> None:
    lists = searches.mate.shape[1]
    click.echo(f"{collected.pack}, list of {searches.list_size:,}" + (f" (mean of {lists} lists)" if lists > 1 else ""))
    click.echo(f"{searches.mated_probes:,} mated and {searches.non_mated_probes:,} non-mated probes; ", nl=False)
    click.echo(f"rank 1 {searches.rank1:.3f}")
    for fpir in SHOWN_FPIRS:
        point = rates_at(searches, threshold_at_fpir(searches, fpir))
        click.echo(
            f"FPIR {point.fpir:.4f} ({point.fpir_low:.4f} to {point.fpir_high:.4f})  threshold {point.threshold:.4f}  "
            f"TPIR {point.tpir:.3f} ({point.tpir_low:.3f} to {point.tpir_high:.3f})"
        )
    for derived in _derived(calibration, searches.list_size):
        chosen, budget = derived.outcome, f"Budget 1 in {round(1 / derived.budget):,}"
        if isinstance(chosen, OperatingPoint):
            found = f"TPIR {chosen.tpir:.3f} ({chosen.tpir_low:.3f} to {chosen.tpir_high:.3f})"
            click.echo(f"{budget}: threshold {chosen.threshold:.3f}, {found}")
        else:
            click.echo(f"{budget}: {chosen}")
    for part in groups.parts if groups else ():
        judged = "too small to judge" if part.too_small else f"TPIR {_share(part.tpir)}, FPIR {_share(part.fpir)}"
        click.echo(f"Group {part.name}: {judged}")


def _share(share: Share | None) -> str:
    return "too few to judge" if share is None else f"{share.rate:.4f} ({share.low:.4f} to {share.high:.4f})"


def _derived(calibration: Calibration, *list_sizes: int) -> list[Derived]:
    from cordon.evaluation.report import Derived

    made = []
    for size in list_sizes:
        for budget in BUDGETS:
            try:
                made.append(Derived(size, budget, threshold_for(calibration, size, budget)))
            except NotSupported as refused:
                made.append(Derived(size, budget, refused))
    return made


def _write_report(
    out: Path,
    collected: Collected,
    searches: Searches,
    measured: list[Point],
    threshold: float,
    groups: GroupResults | None,
    calibration: Calibration,
) -> None:
    from cordon.evaluation import report

    size = searches.gallery_size
    made = report.Report(
        pack=collected.pack,
        data=calibration.data[:1].upper() + calibration.data[1:],
        limits=calibration.limits,
        measured_on=calibration.measured_on.isoformat(),
        command=shlex.join(["cordon", *sys.argv[1:]]),
        machine=f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"onnxruntime {version('onnxruntime')}, Cordon {version('cordon')}",
        list_size=searches.list_size,
        lists=searches.mate.shape[1],
        mated=searches.mated_probes,
        non_mated=searches.non_mated_probes,
        rank1=searches.rank1,
        not_counted=collected.not_counted,
        points=measured,
        threshold=threshold,
        quality=by_quality(collected, searches, threshold),
        groups=groups,
        derived=_derived(calibration, size, 2 * size, 10 * size),
    )
    for path in report.write(made, out):
        click.echo(f"Written: {path}", err=True)


def _progress() -> Callable[[int, int], None] | None:
    """A line that counts identities, for a person at a terminal."""
    if not sys.stderr.isatty():
        return None

    def show(done: int, of: int) -> None:
        click.echo(f"\r{done} of {of} identities", nl=done == of, err=True)

    return show
