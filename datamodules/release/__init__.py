"""What a release says of its performances: catalogue, selection and notes."""
