"""What is done with a trained model: sampling, reconstruction, interpolation, densities, export."""
