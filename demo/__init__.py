"""The show and its stage: a private Airflow, a search for leaked secrets, and `python -m demo`."""
