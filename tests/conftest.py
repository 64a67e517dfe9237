"""Makes ``tests`` importable from every room: ``from tests.filling import filled``."""
