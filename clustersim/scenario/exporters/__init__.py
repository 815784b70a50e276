"""Exporters: a scenario in the words of a training framework, the other way round from `importers`.

Each is a function of a scenario that returns text; what the framework has no word for is said in a comment.
"""
