"""
Atheris for the parsers whose input comes from outside the process. `make fuzz` runs it.

``python -m tests.fuzz.atheris_parsers sealed|response -max_total_time=60``. A crash is an exception that is not an
``AtlasError``, or an error that holds the secret.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime

import atheris

with atheris.instrument_imports(include=["airflow_provider_atlas", "json"]):
    from airflow_provider_atlas.cache import sealing
    from airflow_provider_atlas.exceptions import AtlasError
    from airflow_provider_atlas.oauth import responses
    from tests.fuzz.properties import ACCOUNT, NOW, result_or_typed_error

START = datetime.fromtimestamp(NOW, UTC)


def sealed(data: bytes) -> None:
    """Text that looks sealed, and content sealed with the right key, which only this provider could write."""
    text = data.decode(errors="surrogateescape")
    for candidate in (text, sealing.PREFIX + sealing.VERSION + text):
        assert isinstance(result_or_typed_error(lambda text=candidate: sealing.unseal(ACCOUNT, text)), AtlasError)
    own = sealing.PREFIX + sealing.VERSION + sealing._fernet(ACCOUNT).encrypt(data).decode()
    result_or_typed_error(lambda: sealing.unseal(ACCOUNT, own))
    result_or_typed_error(lambda: sealing.is_shared(ACCOUNT, own))


def response(data: bytes) -> None:
    """A status, a ``Retry-After`` and a body."""
    provider = atheris.FuzzedDataProvider(data)
    status, envelope = provider.ConsumeIntInRange(100, 599), provider.ConsumeBool()
    headers = {"Retry-After": provider.ConsumeUnicode(30)}
    body = provider.ConsumeBytes(sys.maxsize)

    def read() -> object:
        true_status, content = responses.unwrap(status, body) if envelope else (status, responses.json_object(body))
        if true_status == 200:
            return responses.token_from(content, START)
        raise responses.error_from(true_status, headers, content, ACCOUNT.scrub)

    result_or_typed_error(read)


if __name__ == "__main__":
    target = {"sealed": sealed, "response": response}[sys.argv.pop(1)]
    atheris.Setup(sys.argv, target)
    atheris.Fuzz()
