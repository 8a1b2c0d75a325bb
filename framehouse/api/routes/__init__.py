"""One file per resource. Routes translate; they hold no logic."""
