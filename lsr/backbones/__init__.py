"""The models under the encoders: checkpoints, tokenizers, transformers, projections."""
