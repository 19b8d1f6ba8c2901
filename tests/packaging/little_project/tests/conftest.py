pytest_plugins = ["airflow_provider_atlas.testing"]
