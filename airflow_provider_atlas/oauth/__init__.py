"""Atlas's token protocol: client credentials in, access tokens out, every refusal a typed error.

Apart from the error types, nothing in here uses Airflow. This file stays empty, so that importing one module loads no
other.
"""
