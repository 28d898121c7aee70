#!/usr/bin/env python3
"""Every policy and table that is shipped is what its schema describes, as an editor would say; and what the loader refuses
for its form the schema refuses, too."""
import copy
import json
import pathlib
import sys

import jsonschema

config = pathlib.Path(sys.argv[1])


def read(path):
    return json.loads((config / path).read_text())


schemas = {name: read(f"schema/{name}.schema.json") for name in ("policy", "policy-tests")}
for schema in schemas.values():
    jsonschema.Draft202012Validator.check_schema(schema)
valid = {name: jsonschema.Draft202012Validator(schema) for name, schema in schemas.items()}

shipped = ["policy.d/50-default.json", "demo/policy.d/50-demo.json", "policy-tests/50-default.json"]
shipped += [f"examples/{path.name}" for path in sorted((config / "examples").glob("*.json"))]
for path in shipped:
    document = read(path)
    name = pathlib.Path(document["$schema"]).name.removesuffix(".schema.json")
    for error in valid[name].iter_errors(document):
        sys.exit(f"{path}: {error.json_path}: {error.message}")

rule = {"name": "r", "subject": {"users": [1], "labels": ["a*"]}, "domains": ["cdsp"], "kinds": ["signed"],
        "effect": "allow", "modules": ["a.so", {"name": "b.so", "sha256": "0" * 64}], "module_sha256": ["F" * 64],
        "nodes": ["misc"], "narrows": False, "audit": "none", "attributes": ["crc"], "limits": {"lanes": 1}}
valid["policy"].validate({"running_sessions": "end", "rules": [rule]})
wrong = [("name", "My rule"), ("effect", "permit"), ("domains", []), ("kinds", ["any"]), ("modules", []),
         ("modules", ["a/b.so"]), ("modules", ["lib?.so"]), ("modules", ["*a*b*c*d*"]), ("modules", [{"sha256": "0" * 64}]),
         ("modules", [{"name": "a", "sha256": "0"}]), ("module_sha256", ["0" * 63]), ("module_sha256", ["g" * 64]),
         ("nodes", ["qda"]), ("narrows", 1), ("audit", "loud"), ("attributes", ["unsigned-module"]),
         ("limits", {"lanes": 0}), ("subject", {"labels": [""]}), ("subject", {"labels": ["[ab]"]}),
         ("subject", {"labels": ["a\\b"]}), ("subject", {"any": True, "labels": ["a"]}), ("effect", "deny")]
for key, value in wrong:
    broken = copy.deepcopy(rule)
    broken[key] = value
    if valid["policy"].is_valid({"rules": [broken]}):
        sys.exit(f'the schema takes "{key}": {json.dumps(value)}')
print(f"{len(shipped)} files are as their schemas say, {len(wrong)} wrong rules are not")
