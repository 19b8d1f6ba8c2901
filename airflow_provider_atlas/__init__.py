"""Apache Airflow provider for MongoDB Atlas service accounts."""

from __future__ import annotations

__version__ = "0.1.0"
