"""The Administration API: what a token is for."""
