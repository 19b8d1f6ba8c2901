"""PostgreSQL and Redis from Debian's packages, on free loopback ports. Process arguments hold no password."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

from harness.commands import AirflowFailed, Commands, free_port
from harness.database import CONNECTION, KEPT

USER = "postgres"
"""PostgreSQL refuses to run as root; Debian's package makes this user for it."""


class Postgres:
    """
    A context manager around a server, which is a :class:`~harness.database.Database`. It leaves no process and no file.

    `password` is the secret in its `environment`.
    """

    def __init__(self) -> None:
        self.password = secrets.token_hex(24)
        self._home = Path(tempfile.mkdtemp(prefix="services-"))
        self._port = free_port()
        self._components = Commands((), self._home, {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"})
        self._login = f"airflow:{self.password}@127.0.0.1:{self._port}/postgres"
        self.environment = {CONNECTION: f"postgresql+psycopg2://{self._login}"}

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        # PostgreSQL does not end while a connection is open.
        if hasattr(self, "_connection"):
            self._connection.close()
        self._components.stop()
        shutil.rmtree(self._home)

    def query(self, sql: str, params: Sequence[Any] = (), /) -> list[Any]:
        """Rows of the database, which have positions and column names as SQLite's have."""
        with self._connection.cursor() as cursor:
            cursor.execute(sql.replace("?", "%s"), tuple(params) or None)
            return list(cursor.fetchall())

    def write(self, sql: str, params: Sequence[Any] = (), /) -> None:
        import psycopg2

        with contextlib.closing(psycopg2.connect(f"postgresql://{self._login}")) as connection, connection:
            connection.cursor().execute(sql.replace("?", "%s"), tuple(params) or None)

    def tables(self) -> list[str]:
        return [name for (name,) in self.query("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]

    def keep_writes(self, shortest: int) -> None:
        triggers = [
            f'CREATE TRIGGER kept AFTER INSERT OR UPDATE ON "{table}" FOR EACH ROW EXECUTE FUNCTION keep_writes();'
            for table in self.tables()
        ]
        self.write(f"""
            CREATE TABLE {KEPT} (place text, value text);
            CREATE FUNCTION keep_writes() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                INSERT INTO {KEPT} SELECT TG_TABLE_NAME || '.' || key, value FROM jsonb_each_text(to_jsonb(NEW))
                WHERE length(value) >= {shortest} AND value IS DISTINCT FROM to_jsonb(OLD) ->> key;
                RETURN NULL;
            END $$;
            {"".join(triggers)}
        """)

    def pause_database(self, seconds: float) -> None:
        """Stop PostgreSQL's processes for a while: connections stay open, and no query gets a response."""
        stopped = self._components.pids("postgres")
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        try:
            time.sleep(seconds)
        finally:
            for pid in stopped:
                os.kill(pid, signal.SIGCONT)

    def _start(self) -> None:
        import psycopg2
        from psycopg2.extras import DictCursor

        programs = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
        data = self._home / "postgres"
        data.mkdir()
        password = self._private("password", self.password)
        become: tuple[str, ...] = ()
        if os.geteuid() == 0:
            self._home.chmod(0o711)
            for path in (data, password):
                shutil.chown(path, USER, USER)
            become = ("setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups")
        initdb = ("initdb", "--username=airflow", "--auth=scram-sha-256", f"--pwfile={password}", "--no-sync")
        self._components.start("initdb", *become, str(programs / initdb[0]), *initdb[1:], str(data))
        self._components.finish("initdb", 60)
        password.unlink()
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self._port,
            "unix_socket_directories": "",
            "timezone": "UTC",
            "max_connections": 200,
            "fsync": "off",  # the data is not needed after a crash
        }
        options = [f"--{name}={value}" for name, value in settings.items()]
        self._components.start("postgres", *become, str(programs / "postgres"), "-D", str(data), *options)
        self._connection = self._until(
            "postgres",
            lambda: psycopg2.connect(f"postgresql://{self._login}", cursor_factory=DictCursor),
            psycopg2.OperationalError,
        )
        self._connection.set_session(readonly=True, autocommit=True)

    def _private(self, name: str, text: str) -> Path:
        path = self._home / name
        with open(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
            file.write(text)
        return path

    def _until(self, name: str, connect: Callable[[], Any], refused: type[Exception]) -> Any:
        deadline = time.monotonic() + 60
        while True:
            try:
                return connect()
            except refused:
                if time.monotonic() > deadline:
                    raise AirflowFailed(self._components.tail(name)) from None
            time.sleep(0.1)


class Services(Postgres):
    """PostgreSQL, and Redis as Celery's broker, with the same password."""

    def __init__(self) -> None:
        super().__init__()
        self._redis = free_port()
        self.environment |= {
            "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
            "AIRFLOW__CELERY__BROKER_URL": f"redis://:{self.password}@127.0.0.1:{self._redis}/0",
            "AIRFLOW__CELERY__RESULT_BACKEND": f"db+postgresql+psycopg2://{self._login}",
        }

    def _start(self) -> None:
        import redis

        config = self._private(
            "redis.conf", f"requirepass {self.password}\nbind 127.0.0.1\nport {self._redis}\nsave ''\n"
        )
        self._components.start("redis", "redis-server", str(config))
        super()._start()
        client = redis.Redis(port=self._redis, password=self.password)
        self._until("redis", client.ping, redis.ConnectionError)
