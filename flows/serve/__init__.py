"""A Prefect server with its worker and the deployments, on one machine."""
