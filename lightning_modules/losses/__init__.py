"""Loss terms: each states its reduction; only the LightningModule weights them."""
