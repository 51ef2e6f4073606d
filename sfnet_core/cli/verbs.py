"""The verbs for the shell. Exit status: 0 done, 2 the user's mistake, 3 done with galaxies set aside, 130 Ctrl-C."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from sfnet_core.cli.codes import evaluate, export
from sfnet_core.cli.compare import compare
from sfnet_core.cli.faithful import faithful
from sfnet_core.cli.foreign import import_
from sfnet_core.cli.options import DatasetPath, Device, Json, NewDataset, Overwrite, Quiet, Resume, Seed
from sfnet_core.cli.report import report
from sfnet_core.cli.seeds import seeds
from sfnet_core.cli.train import train
from sfnet_core.cli.words import finish, need_torch, say, working
from sfnet_core.codes.header import RUNNERS_UP
from sfnet_core.utils.errors import SFNetError
from sfnet_core.utils.version import __version__

# What a verb needs is imported inside it: `sfnet explore` must not wait for torch, nor `sfnet --help` for anything.

DONE, MISTAKE, INTERRUPTED = 0, 2, 130

app = typer.Typer(
    name="sfnet",
    help="Sparse Feature Networks for galaxy images: pack, train, infer, then explore every prediction.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


@app.callback(invoke_without_command=True)
def _top(
    context: typer.Context, version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False
):
    if version:
        print(__version__)
    elif context.invoked_subcommand is None:
        print(context.get_help())


@app.command()
def simulate(
    n: Annotated[int, typer.Option("--n", help="Number of galaxies.")],
    out: NewDataset,
    seed: Seed = 0,
    size: Annotated[int, typer.Option(help="Side of a cutout in pixels.")] = 128,
    workers: Annotated[int | None, typer.Option(help="Processes; by default one per core, at most 8.")] = None,
    resume: Resume = False,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Draw a simulated survey with GalSim: cutouts, metallicities, line fluxes, BPT classes. --resume goes on after
    Ctrl-C.
    """
    from sfnet_core.data.simulate.survey import simulate as run

    with working(as_json):
        dataset = run(
            n, seed=seed, out=out, size=size, workers=workers, progress=not quiet, overwrite=overwrite, resume=resume
        )
    finish(_about_dataset(dataset, out), dataset.set_aside, as_json, f"{len(dataset):,} simulated galaxies in {out}")


@app.command()
def pack(
    catalogue: Annotated[Path, typer.Argument(help="Any table: CSV, ECSV, FITS, VOTable, Parquet. Or only IMAGES.")],
    out: NewDataset,
    images: Annotated[
        Path | None, typer.Argument(help="A folder of JPEG, PNG or FITS images named by identifier.")
    ] = None,
    id_column: Annotated[str | None, typer.Option(help="Column of the identifiers; guessed by default.")] = None,
    hdu: Annotated[int | None, typer.Option(help="HDU of the table in a FITS file.")] = None,
    pixel_scale: Annotated[float | None, typer.Option(help="Arcsec per pixel of the images.")] = None,
    size: Annotated[int | None, typer.Option(help="Resample every image to this many pixels a side.")] = None,
    resample: Annotated[str, typer.Option(help="lanczos or bicubic.")] = "lanczos",
    bands: Annotated[str, typer.Option(help="The three bands, short wavelength first.")] = "gri",
    stretch: Annotated[float, typer.Option(help="Lupton stretch, for FITS images.")] = 0.5,
    q: Annotated[float, typer.Option("--q", help="Lupton Q, for FITS images.")] = 8.0,
    minimum: Annotated[float, typer.Option(help="Lupton black point, for FITS images.")] = 0.0,
    source: Annotated[str | None, typer.Option(help="Origin of the data, as text.")] = None,
    simulated: Annotated[bool, typer.Option("--simulated", help="These galaxies are simulated.")] = False,
    resume: Resume = False,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Put a catalogue and its images into one dataset; what cannot be read is set aside with the reason. --resume goes
    on with one that was cut off.
    """
    from sfnet_core.data.packing import pack as run

    table, pictures = (catalogue, images) if images is not None else (None, catalogue)
    if images is None and not pictures.is_dir():
        raise SFNetError(f"{pictures} is not a folder of images; give a catalogue and a folder, or a folder alone.")
    with working(as_json):
        dataset = run(
            table, pictures, out, id_column=id_column, hdu=hdu, pixel_scale=pixel_scale, size=size, resample=resample,
            bands=bands, stretch=stretch, q=q, minimum=minimum, source=source, simulated=simulated,
            overwrite=overwrite, resume=resume, progress=not quiet,
        )  # fmt: skip
    finish(_about_dataset(dataset, out), dataset.set_aside, as_json, f"{len(dataset):,} galaxies packed in {out}")


app.command()(train)


@app.command()
def infer(
    run: Annotated[Path, typer.Argument(help="A run's folder, or a .safetensors file.")],
    dataset: DatasetPath,
    out: Annotated[Path, typer.Option(help="The codes file to write (.parquet).")],
    tta: Annotated[bool, typer.Option("--tta", help="Also the mean prediction over 8 orientations.")] = False,
    runners_up: Annotated[int, typer.Option(help="Activations stored after the kept ones.")] = RUNNERS_UP,
    maps: Annotated[bool, typer.Option(help="Store the feature maps that contribution maps are drawn from.")] = True,
    batch: Annotated[int, typer.Option(help="Galaxies per piece of work.")] = 2048,
    device: Device = "auto",
    precision: Annotated[
        str,
        typer.Option(help="float32; bfloat16, doubtful gates again in float32; auto: bfloat16 where it is faster."),
    ] = "auto",
    resume: Annotated[bool, typer.Option(help="Use finished pieces of an interrupted run.")] = True,
    allow_mismatch: Annotated[
        bool, typer.Option("--allow-mismatch", help="Continue although size or pixel scale differ from the training's.")
    ] = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Turn images into sparse codes: k features and their activations for every galaxy."""
    need_torch("infer")
    from sfnet_core.data.dataset import Dataset
    from sfnet_core.inference.runner import infer as work

    with working(as_json):
        opened = Dataset.open(dataset)
        codes = work(
            run, opened, out, tta=tta, runners_up=runners_up, maps=maps, batch=batch, device=device,
            precision=precision, resume=resume, allow_mismatch=allow_mismatch, progress=not quiet,
        )  # fmt: skip
    known = set(opened.set_aside)  # said by `pack` already
    about = {"codes": str(out), "galaxies": len(codes), "fingerprint": codes.fingerprint}
    notes = [str(note) for note in codes.provenance.get("notes") or []]
    fresh = [record for record in codes.set_aside if record not in known]
    finish(about | {"notes": notes}, fresh, as_json, f"Codes of {len(codes):,} galaxies in {out}")


app.command("import")(import_)
for verb in (evaluate, compare, faithful, export, report):
    app.command()(verb)
app.add_typer(seeds, name="seeds")


@app.command()
def explore(
    codes: Annotated[Path | None, typer.Argument(help="A codes file; without one, the embedded sample.")] = None,
    dataset: Annotated[Path | None, typer.Option(help="The dataset the codes were made from, for the images.")] = None,
    port: Annotated[int | None, typer.Option(help="Port on this machine; by default a free one.")] = None,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Only print the address.")] = False,
    no_token: Annotated[bool, typer.Option("--no-token", help="Serve without a token.")] = False,
    allow_mismatch: Annotated[
        bool, typer.Option("--allow-mismatch", help="Show codes beside a dataset they were not made from.")
    ] = False,
    run: Annotated[
        Path | None, typer.Option(help="The run behind the codes, to decompose images of one's own.")
    ] = None,
    images: Annotated[
        list[Path] | None, typer.Option(help="A folder whose images the page may open by path; may be repeated.")
    ] = None,
    sessions: Annotated[int | None, typer.Option(help="Pages open at once (40); further visitors wait.")] = None,
    memory: Annotated[int | None, typer.Option(help="Memory that one page may use, in MB (4096).")] = None,
) -> None:
    """Open the page: browse galaxies, switch features on and off, read every prediction. Ctrl-C ends it."""
    from sfnet_core.explorer.server.serve import serve

    def say(words: str) -> None:
        print(words, flush=True)

    serve(
        codes, dataset, port=port, browser=not no_browser, token=not no_token, allow_mismatch=allow_mismatch, say=say,
        run=run, images=images or (), sessions=sessions, memory=memory,
    )  # fmt: skip


def run(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; returns the exit status and never raises for a user's mistake."""
    try:
        answer = app(args=None if arguments is None else list(arguments), prog_name="sfnet", standalone_mode=False)
        sys.stdout.flush()
        if answer == INTERRUPTED:  # newer typers turn Ctrl-C into this status, older ones into Abort
            raise KeyboardInterrupt
        return answer if isinstance(answer, int) else DONE
    except SFNetError as error:
        return _refuse(str(error))
    except (KeyboardInterrupt, typer.Abort):
        say("Interrupted.")
        return INTERRUPTED
    except BrokenPipeError:  # the reader, `head` say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return DONE
    except (PermissionError, FileNotFoundError, IsADirectoryError, NotADirectoryError, FileExistsError) as error:
        if error.filename is None:
            raise
        return _refuse(f"{error.filename}: {error.strerror}.")
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        context = getattr(error, "ctx", None)
        where = f" See `{context.command_path} --help`." if context is not None else ""
        return _refuse(error.format_message().rstrip(".") + "." + where)


def main() -> NoReturn:
    """The console script ``sfnet``."""
    sys.exit(run())


def _about_dataset(dataset: Any, out: Path) -> dict[str, Any]:
    height, width = (int(s) for s in dataset.cutouts.shape[1:3])
    about = {"dataset": str(out), "galaxies": len(dataset), "height": height, "width": width}
    about |= {"pixel_scale": dataset.pixel_scale, "simulated": dataset.simulated, "fingerprint": dataset.fingerprint}
    return about | {"notes": [str(note) for note in dataset.meta.get("notes") or []]}


def _refuse(sentence: str) -> int:
    say(f"sfnet: {sentence}")
    return MISTAKE
