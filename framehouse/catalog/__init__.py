"""Which videos exist and what is owed to them."""
