"""The distributed engine (NVIDIA FLARE): the only place that imports it."""
