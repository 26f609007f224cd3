"""ROS-free install of the core; everything is declared in setup.cfg."""

from setuptools import setup

setup()
