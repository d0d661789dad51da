"""SQL migrations of the tables of the controller, in the order of their names."""
