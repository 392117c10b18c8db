"""Many files as one: scan both sides, compare them, seal a plan, run its batches, prove the whole. Without Airflow."""
