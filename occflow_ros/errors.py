"""Errors that a user can act on; the command line prints them as one line."""

from __future__ import annotations


class OccflowError(Exception):
    """The message names the field, file or topic and says what was expected."""


class ConfigError(OccflowError):
    """A configuration that names unknown keys or holds values out of range."""


class DataError(OccflowError):
    """A missing, corrupt or inconsistent file of a data set, recording or checkpoint."""


class OutputError(OccflowError):
    """An output folder that is occupied or cannot be written."""


class PartError(OccflowError):
    """A part of the work whose processes died again and again, for example for lack of memory."""
