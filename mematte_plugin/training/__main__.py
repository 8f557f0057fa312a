"""`python -m mematte_plugin.training`: training data, training, export; all resumable.

A training needs no more than torch, numpy, opencv, accelerate and safetensors, and scipy where the
guidance is information flow on a CPU, so that it runs on a machine that has nothing else; `mematte
train` offers the same.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import MEMatteError, SettingError
from .data_options import BUILD, IMPORT, PACK, PREVIEW
from .options import EXPORT, RUN, Option

OK, FAILURE, USAGE = 0, 1, 2


def run(args: dict[str, Any]) -> int:
    """Train, or go on with the run that is there."""
    from .commands import run as train

    folder = args.pop("run")
    report = train(folder, **args)
    for line in report.lines(folder):
        logging.info("%s", line)
    return OK if report.stopped_by is None else 128 + report.stopped_by


def export(args: dict[str, Any]) -> int:
    """Write the averaged weights of a run with their model card."""
    from .commands import ship

    ship(args.pop("run"), args.pop("directory"), **args)
    return OK


def build(args: dict[str, Any]) -> int:
    """Collect backgrounds and render foregrounds; goes on where it was stopped."""
    from .data.bank import build_bank

    counts = build_bank(args.pop("directory"), **args)
    logging.info("%s", ", ".join(f"{count} {name}" for name, count in counts.items()))
    return OK


def import_(args: dict[str, Any]) -> int:
    """Bring pictures of one's own into a folder of training pictures."""
    from .data.importing import import_pictures

    counts = import_pictures(args.pop("folder"), args.pop("directory"), **args)
    logging.info("%s", ", ".join(f"{count} {name}" for name, count in counts.items()))
    return OK


def preview(args: dict[str, Any]) -> int:
    """Write a sheet of training crops to look at."""
    from .data import preview as write_sheet

    write_sheet(args.pop("directory"), args.pop("png"), **args)
    return OK


def pack(args: dict[str, Any]) -> int:
    """Make a small copy that travels to another machine."""
    from .data import pack as write_pack

    logging.info("%s", write_pack(args.pop("directory"), args.pop("out"), **args))
    return OK


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code: 0 done, 1 failed, 2 not understood."""
    args = vars(_parser().parse_args(argv))
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    command: Callable[[dict[str, Any]], int] = args.pop("command")
    try:
        return command(args)
    except MEMatteError as error:
        sys.stderr.write(f"error: {error}\n")
        return USAGE if isinstance(error, SettingError) else FAILURE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m mematte_plugin.training", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("run", help=run.__doc__)
    command.add_argument("run", type=Path, help="folder of the run: checkpoint, log, pictures")
    _add_options(command, RUN)
    command.set_defaults(command=run)

    command = commands.add_parser("export", help=export.__doc__)
    command.add_argument("run", type=Path, help="folder of the run")
    command.add_argument("directory", type=Path, help="model folder to write")
    _add_options(command, EXPORT)
    command.set_defaults(command=export)

    data = commands.add_parser("data", help="Training pictures.")
    data_commands = data.add_subparsers(required=True, metavar="COMMAND")
    for act, places, options in (
        (build, {"directory": "folder of training pictures"}, BUILD),
        (
            import_,
            {"folder": "pictures of your own", "directory": "folder of training pictures"},
            IMPORT,
        ),
        (preview, {"directory": "folder of training pictures", "png": "sheet to write"}, PREVIEW),
        (pack, {"directory": "folder of training pictures", "out": "new folder to write"}, PACK),
    ):
        command = data_commands.add_parser(act.__name__.rstrip("_"), help=act.__doc__)
        for name, words in places.items():
            command.add_argument(name, type=Path, help=words)
        _add_options(command, options)
        command.set_defaults(command=act)
    return parser


def _add_options(parser: argparse.ArgumentParser, options: Mapping[str, Option]) -> None:
    for name, option in options.items():
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            type=option.kind,
            default=option.default,
            required=option.required,
            help=option.flag_help.replace("%", "%%"),
        )


if __name__ == "__main__":
    sys.exit(main())
