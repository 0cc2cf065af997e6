"""Reads a Compose file as the Compose specification says, and prints the names of its services. usage: compose.py TEXT"""

import json
import sys

from compose_spec import PyCompose

print(json.dumps(PyCompose.from_yaml(sys.argv[1]).service_names()))
