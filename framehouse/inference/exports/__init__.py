"""Networks that people bring, made into folders of the model repository."""
