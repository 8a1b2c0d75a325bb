"""The contract: rows, the parts that hold them, the lake they lie in, and the JSON they become."""
