"""Audio outside the networks: sound files, spectrograms, cutting into clips."""
