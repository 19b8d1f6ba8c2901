"""A private Airflow for tests, benchmarks and the demo, and a search for secrets in everything that it writes."""
