"""What Schemathesis cannot do by itself: write bodies of JSON lines."""

import json

import schemathesis


@schemathesis.serializer("application/x-ndjson")
def json_lines(_context, value):
    """One value is one line."""
    return value if isinstance(value, bytes) else json.dumps(value).encode()
