"""Runs schemathesis over the description that our binary gives of itself.

check.py BINARY. SCHEMA_SECONDS bounds the time, 60 unless set. Fails where an answer is a 5xx or differs from the
description.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from service import EXAMPLES, Service, same, true

HERE = Path(__file__).resolve().parent
CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
]


def main():
    binary, seconds = sys.argv[1], os.environ.get("SCHEMA_SECONDS", "60")
    with tempfile.TemporaryDirectory() as folder, Service(binary, folder) as service:
        source = service.put(EXAMPLES / "cat.jpg")
        order = {"source": source, "prompt": "oil painting", "size": "64", "steps": 2, "strengths": [0.4, 0.6]}
        _, _, job = service.call("POST", "/api/v1/ladders", order)
        same("state of the first job", service.done(job["id"])["state"], "done")
        picture = Path(folder) / "made.png"
        picture.write_bytes(service.call("GET", f"/api/v1/jobs/{job['id']}/results/0")[2])
        environment = os.environ | {
            "SCHEMATHESIS_HOOKS": "hooks",
            "PYTHONPATH": str(HERE),
            "IMAGEGEN_SOURCE": source,
            "IMAGEGEN_JOB": job["id"],
            "IMAGEGEN_PICTURE": str(picture),
        }
        command = [Path(sys.executable).parent / "schemathesis", "--config-file", HERE / "schemathesis.toml", "run"]
        command += [f"{service.url}/api/v1/openapi.json", "--url", f"{service.url}/api/v1"]
        command += ["--checks", ",".join(CHECKS), "--max-time", seconds]
        most = int(seconds) * 4 + 120
        status = subprocess.run(command, env=environment, cwd=folder, timeout=most).returncode
        same("status of schemathesis", status, 0)
        true("the service is up", service.is_up())
        same("health", service.call("GET", "/healthz")[0], 200)
        true("nothing panicked", "panic" not in service.log.read_text())
        check_reach(service)


def check_reach(service):
    """What was only ever refused was hardly tested."""
    described = service.call("GET", "/api/v1/openapi.json")[2]["paths"]
    operations = {(method.upper(), f"/api/v1{path}") for path, methods in described.items() for method in methods}
    label = re.compile(r'imagegen_http_requests_total\{(.*)\} (\d+)')
    answered = set()
    for labels, _ in label.findall(service.call("GET", "/metrics")[2].decode()):
        fields = dict(re.findall(r'(\w+)="([^"]*)"', labels))
        if fields["status"].startswith("2"):
            answered.add((fields["method"], fields["route"]))
    missed = sorted(operations - answered)
    print(f"{len(operations) - len(missed)} of {len(operations)} operations were carried out; refused only: {missed}")
    true("most operations were carried out", len(missed) <= len(operations) // 4)


main()
