"""Reports: results as text, tables and documents. The only place that formats numbers or writes files.

Files called ``terminal*.py`` draw with rich and are imported when something is drawn; nothing here prints.
"""
