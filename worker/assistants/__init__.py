"""The analyst's questions as tools for assistants, over the Model Context Protocol
(https://modelcontextprotocol.io): read-only, capped, with the analyst's rights.

What strangers wrote stands in fields named `untrusted_text` and `untrusted_name`, and nowhere else.
"""
