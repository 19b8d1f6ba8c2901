"""Where a token lives between calls. Knows tokens and clocks, no HTTP and no Airflow connection."""
