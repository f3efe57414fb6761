"""Indexes as tools of the Model Context Protocol (MCP), for language models: read, never written.

``tools`` has what they do, ``server`` the protocol around them, ``http`` their place in the REST
server; ``lsr mcp`` speaks over standard input and output.
"""
