"""Analysis: everything that is reported, derived from a trace. One file a metric; nothing here formats."""
