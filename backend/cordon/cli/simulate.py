"""`cordon simulate`: render a simulated camera's video, and the truth about it."""

from __future__ import annotations

import sys
from pathlib import Path

import click


@click.command()
@click.argument("out", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--people", default=8, show_default=True, type=click.IntRange(min=0), help="How many persons walk by.")
@click.option("--listed", default=2, show_default=True, type=click.IntRange(min=0), help="How many are on the list.")
@click.option("--seconds", default=20.0, show_default=True, type=click.FloatRange(min=0.5, max=3600))
@click.option("--seed", default=0, show_default=True, type=int)
@click.option("--size", default="1280x720", show_default=True, help="WxH in pixels, both even.")
@click.option("--fps", default=12, show_default=True, type=click.IntRange(min=1, max=60))
@click.option("--in-view", default=None, type=click.FloatRange(min=0), help="People on their way at once, on average.")
@click.option("--truth", default=None, type=click.Path(dir_okay=False, path_type=Path), help="Where the truth goes.")
@click.option(
    "--references", default=None, type=click.Path(file_okay=False, path_type=Path), help="Listed faces go here."
)
@click.option("--pack", default=None, help="The model pack whose detector finds the heads.")
def simulate(
    out: Path,
    people: int,
    listed: int,
    seconds: float,
    seed: int,
    size: str,
    fps: int,
    in_view: float | None,
    truth: Path | None,
    references: Path | None,
    pack: str | None,
) -> None:
    """Render people who walk down a street to the H.264 video OUT."""
    import cv2

    from cordon.simulate.people import DemoPerson, NotEnoughFaces, faces_for_demo
    from cordon.simulate.scene import SceneSettings, render_scene
    from cordon.vision.packs import PackUnavailable, load_pack

    if listed > people:
        raise click.BadParameter("No more people can be listed than walk by.", param_hint="--listed")
    width, _, height = size.lower().partition("x")
    if not (width.isdigit() and height.isdigit() and int(width) and int(height)):
        raise click.BadParameter("The size is written as WIDTHxHEIGHT, as in 1280x720.", param_hint="--size")
    settings = SceneSettings(int(width), int(height), fps, seconds, seed, people_in_view=in_view)
    try:
        persons: list[DemoPerson] = []
        if people:
            loaded = load_pack(pack)
            persons = faces_for_demo(loaded.detector, people=people, listed=listed, seed=seed, embedder=loaded.embedder)
        truth_found = render_scene([one.walker for one in persons], settings, out, progress=_progress)
    except (NotEnoughFaces, PackUnavailable, ValueError) as error:
        raise click.ClickException(str(error)) from error
    truth_found.save(truth or out.with_suffix(".json"))
    if references is not None:
        references.mkdir(parents=True, exist_ok=True)
        for person in persons[:listed]:
            cv2.imwrite(str(references / f"{person.walker.id}.jpg"), person.reference)
    click.echo(f"{out}: {truth_found.loop_s:.1f} s, {people} people, {listed} of them listed.")


def _progress(done: int, frames: int) -> None:
    if sys.stderr.isatty() or done == frames or done % 60 == 0:
        end = "\r" if sys.stderr.isatty() and done < frames else "\n"
        sys.stderr.write(f"Rendering frame {done} of {frames}{end}")
        sys.stderr.flush()
