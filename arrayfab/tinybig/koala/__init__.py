"""tinybig's graphs, chains, grids and patches: what its interdependences are made of, as plain data."""
