"""Kill anything at random while videos run, and compare the tables with those of an undisturbed run."""
