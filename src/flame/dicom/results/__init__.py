"""Predictions as DICOM objects on the hospital's own images."""
