"""Where a token is stored between calls. It uses no HTTP and no Airflow connection."""
