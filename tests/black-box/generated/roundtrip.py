"""Reads events, a JSON array on stdin; writes what the generated package makes of each, a JSON array on stdout."""

import importlib
import json
import sys

package = importlib.import_module(sys.argv[1])


def through(event):
    try:
        parsed = package.parse(json.dumps(event))
    except package.ParseError as error:
        return {"error": str(error)}
    known = type(parsed) is package.EVENTS.get((parsed.type, parsed.version))
    created = type(parsed).create(event["tenant"], parsed.data, id="e1").to_json() if known else None
    return {"event": parsed.to_json(), "known": known, "created": created}


json.dump([through(event) for event in json.load(sys.stdin)], sys.stdout)
