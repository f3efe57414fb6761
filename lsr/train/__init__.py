"""Training of sparse encoders: losses, regularisers, teachers, batches, trainer."""
