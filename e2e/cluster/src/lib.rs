//! Real Kubernetes clusters for tests and demos.
