# Reads a dashboard with Grafana's own types and writes it again: a field that Grafana does not know is lost on the way.

import json
import sys

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

register_default_plugins()


def differences(given, read, path):
    """Paths whose values differ; what the types add by default is no difference."""
    if isinstance(given, dict) and isinstance(read, dict):
        for name, value in given.items():
            yield from differences(value, read.get(name), f"{path}.{name}")
    elif isinstance(given, list) and isinstance(read, list) and len(given) == len(read):
        for index, pair in enumerate(zip(given, read)):
            yield from differences(*pair, f"{path}[{index}]")
    elif given != read:
        yield path


given = json.load(open(sys.argv[1]))
read = json.loads(JSONEncoder().encode(Dashboard.from_json(given)))
print(json.dumps(sorted(differences(given, read, "dashboard"))))
