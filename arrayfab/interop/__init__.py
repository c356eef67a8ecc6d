"""Doors to other libraries, a module for each; none is imported before it is asked for."""
