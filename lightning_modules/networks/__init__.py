"""Pure `nn.Module`s, injected into the LightningModules by `class_path`."""
