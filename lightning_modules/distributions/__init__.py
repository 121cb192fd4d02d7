"""The probability distributions of the VAE: posterior, priors, likelihoods."""
