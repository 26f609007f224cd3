"""Live 3D occupancy and flow from ordinary cameras, learned without 3D labels."""

from pkgutil import extend_path

# The messages are generated into the installed package; a source checkout ahead of it on sys.path
# must not hide them.
__path__ = extend_path(__path__, __name__)

__version__ = "0.1.0"
