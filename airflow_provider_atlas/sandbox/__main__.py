"""``python -m airflow_provider_atlas.sandbox``: the sandbox in the foreground. Every knob is an option."""

from __future__ import annotations

import argparse
import os
import re
import signal
import threading
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

from airflow_provider_atlas.sandbox import Sandbox
from airflow_provider_atlas.sandbox.knobs import Knobs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ID_VARIABLE, SECRET_VARIABLE = "MONGODB_ATLAS_CLIENT_ID", "MONGODB_ATLAS_CLIENT_SECRET"


def parser() -> argparse.ArgumentParser:
    """Return the parser. The fields of ``Knobs`` are its options, and their documentation is the help text."""
    made = argparse.ArgumentParser(
        prog="python -m airflow_provider_atlas.sandbox",
        description="A local stand-in for MongoDB Atlas: token endpoints and parts of the Administration API.",
        epilog=f"Set {ID_VARIABLE} and {SECRET_VARIABLE} to choose client id and secret; otherwise both are generated.",
    )
    made.add_argument("--host", default="127.0.0.1", help="loopback address to listen on (default %(default)s)")
    made.add_argument("--port", type=int, default=0, help="port to listen on; 0, the default, for a free one")
    made.add_argument("--log-file", metavar="FILE", help="file that gets one line a request, without secrets")
    helps = dict(re.findall(r":param (\w+): (.+)", re.sub(r"\n\s+(?=[^\s:])", " ", Knobs.__doc__ or "")))
    hints = get_type_hints(Knobs)
    for knob in fields(Knobs):
        hint, default = hints[knob.name], "" if knob.default in (None, False) else f" (default {knob.default})"
        kind: dict[str, Any] = {"default": knob.default, "help": helps.get(knob.name, "") + default}
        if hint is bool:
            kind["action"] = "store_true"
        elif get_origin(hint) is Literal:
            kind["choices"] = get_args(hint)
        else:
            kind["type"] = next(iter(get_args(hint)), hint)
            kind["metavar"] = "N" if kind["type"] is int else "X"
        made.add_argument(f"--{knob.name.replace('_', '-')}", **kind)
    return made


def credentials(environ: Mapping[str, str]) -> dict[str, str]:
    """Return client id and secret from the environment, or nothing. A ValueError if only one of them is set."""
    client_id, secret = environ.get(ID_VARIABLE, ""), environ.get(SECRET_VARIABLE, "")
    if bool(client_id) != bool(secret):
        raise ValueError(f"set both {ID_VARIABLE} and {SECRET_VARIABLE}, or neither")
    return {"client_id": client_id, "client_secret": secret} if client_id else {}


def main(arguments: Sequence[str] | None = None) -> None:
    made = parser()
    options = vars(made.parse_args(arguments))
    try:
        given = credentials(os.environ)
        sandbox = Sandbox(**{**options, **given}).start()
    except (OSError, ValueError) as err:
        made.error(str(err))
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    print(f"Atlas sandbox ready at {sandbox.url} with client id {sandbox.client_id}", flush=True)
    # A secret from the environment may be a real one, and its owner has it already.
    if not given:
        print(f"Client secret (throw-away, of this sandbox only): {sandbox.client_secret}", flush=True)
    stopped.wait()
    sandbox.stop()


if __name__ == "__main__":
    main()
