"""``provenport serve``."""

import logging
import os
import sys

import click
import structlog

from backend.cli.language import _
from backend.domain.errors import TraceabilityError, message_of
from backend.settings import Settings


@click.command("serve")
@click.option("--port", type=click.IntRange(1, 65535), help="Port to listen on (PORT, default 8080).")
@click.option("--data-dir", type=click.Path(file_okay=False), help="Where to keep everything (DATA_DIR, default var/).")
def serve_command(port: int | None, data_dir: str | None) -> None:
    """Serve pages, API and anchoring on 127.0.0.1."""
    from backend.adapters.chains.embedded import ChainInUse
    from backend.runtime.serving import serve as serve_until_stopped

    given = {"PORT": port and str(port), "DATA_DIR": data_dir}
    settings = Settings.from_environment({**os.environ, **{k: v for k, v in given.items() if v}})
    _log_to_stderr(settings.log_level)
    try:
        serve_until_stopped(settings, click.echo)
    except ChainInUse as error:
        raise TraceabilityError(
            "{error}. Stop that server, or choose another folder with DATA_DIR=…", error=message_of(error)
        ) from error
    except KeyboardInterrupt:
        click.echo(_("Stopped before it was ready; start again to go on."))


def _log_to_stderr(level: str) -> None:
    logging.basicConfig(level=level, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
