"""`python -m demo` runs example DAGs and shows what they cost."""
