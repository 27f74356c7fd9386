"""What `minuted status` tells, for Prometheus."""
