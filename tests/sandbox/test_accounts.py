"""Client ids, secrets and tokens look like Atlas's, and no ``repr`` shows a secret or a token."""

from __future__ import annotations

import base64
import re

from airflow_provider_atlas.sandbox.accounts import Account, Secret, Token, new_client_id, new_secret, new_token


def test_client_id_and_secret_have_atlas_s_form():
    assert re.fullmatch(r"mdb_sa_id_[0-9a-f]{24}", new_client_id())
    assert re.fullmatch(r"mdb_sa_sk_[\w-]{20}_[\w-]{20}", new_secret())


def test_token_looks_like_a_jwt_of_about_1_kb_and_is_opaque():
    token = new_token()
    header, payload, _ = token.split(".")
    assert re.fullmatch(r"eyJ[\w-]+\.[\w-]+\.[\w-]+", token)
    assert 900 < len(token) < 1200
    assert base64.urlsafe_b64decode(header + "==").startswith(b'{"alg"')
    assert not payload.startswith("eyJ")


def test_no_two_tokens_are_the_same():
    assert len({new_token() for _ in range(100)}) == 100


def test_repr_of_an_account_does_not_show_its_secrets():
    assert "hidden" not in repr(Account("id", secrets=[Secret("hidden", 0.0, 1.0)]))


def test_repr_of_a_token_shows_neither_token_nor_secret():
    token = Token("value", "id", "hidden", 10.0)
    assert repr(token) == "Token(client_id='id', expires_at=10.0)"
