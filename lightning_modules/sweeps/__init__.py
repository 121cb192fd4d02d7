"""W&B sweep files run on this machine, without an account: W&B's own search engine, our processes."""
