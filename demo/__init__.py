"""A local Atlas, a private Airflow and the example DAGs, shown by `python -m demo`."""
