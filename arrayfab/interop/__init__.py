"""Doors to other libraries; each is a module that imports its library."""
