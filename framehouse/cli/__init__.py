"""The command line: one file per noun. Heavy things are imported inside the commands, so that help is quick."""
