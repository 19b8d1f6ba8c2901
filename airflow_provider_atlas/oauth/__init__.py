"""Atlas's token protocol: client credentials in, access tokens out, every refusal a type.

Nothing in here knows Airflow. The package stays empty so that importing one module loads no other.
"""
