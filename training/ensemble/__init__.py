"""Experts of clusters in, one model of them out: weighed by where a task's texts are."""
