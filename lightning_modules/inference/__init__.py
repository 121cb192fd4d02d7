"""Use of a trained model: sampling, reconstruction, interpolation, densities, export."""
