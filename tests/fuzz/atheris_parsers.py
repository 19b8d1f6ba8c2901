"""
Atheris on the parsers whose input comes from outside the process; `make fuzz` runs it.

``python -m tests.fuzz.atheris_parsers sealed|answer -max_total_time=60``. A crash is an exception that is no
``AtlasError``, or an error that holds the secret.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime

import atheris

with atheris.instrument_imports(include=["airflow_provider_atlas", "json"]):
    from airflow_provider_atlas.cache import sealing
    from airflow_provider_atlas.exceptions import AtlasError
    from airflow_provider_atlas.oauth import answers
    from tests.fuzz.properties import ACCOUNT, NOW, right_or_typed

START = datetime.fromtimestamp(NOW, UTC)


def sealed(data: bytes) -> None:
    """Text that looks sealed, and content under our own key, which only a release of this provider could write."""
    text = data.decode(errors="surrogateescape")
    for candidate in (text, sealing.PREFIX + sealing.VERSION + text):
        assert isinstance(right_or_typed(lambda text=candidate: sealing.unseal(ACCOUNT, text)), AtlasError)
    own = sealing.PREFIX + sealing.VERSION + sealing._fernet(ACCOUNT).encrypt(data).decode()
    right_or_typed(lambda: sealing.unseal(ACCOUNT, own))
    right_or_typed(lambda: sealing.is_shared(ACCOUNT, own))


def answer(data: bytes) -> None:
    """A status, a ``Retry-After`` and a body."""
    provider = atheris.FuzzedDataProvider(data)
    status, envelope = provider.ConsumeIntInRange(100, 599), provider.ConsumeBool()
    headers = {"Retry-After": provider.ConsumeUnicode(30)}
    body = provider.ConsumeBytes(sys.maxsize)

    def read() -> object:
        true, content = answers.unwrap(status, body) if envelope else (status, answers.json_object(body))
        if true == 200:
            return answers.token_from(content, START)
        raise answers.error_from(true, headers, content, ACCOUNT.scrub)

    right_or_typed(read)


if __name__ == "__main__":
    target = {"sealed": sealed, "answer": answer}[sys.argv.pop(1)]
    atheris.Setup(sys.argv, target)
    atheris.Fuzz()
