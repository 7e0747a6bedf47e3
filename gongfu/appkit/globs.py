"""Globs that apps give: those of the kernel, whose time an app cannot stretch."""

from gongfu.kernel.globs import asset_glob, point_glob

__all__ = ["asset_glob", "point_glob"]
