#!/usr/bin/env python3
"""A provisioning helper in Python: signs the node's request with `muster ca sign`, and places the node by its country.

One JSON document in, one out; see docs/provisioning.md.
"""

import json
import os
import subprocess
import sys
import tempfile

CA = os.environ.get("PROVISION_CA", "/etc/muster/ca")
MUSTER = os.environ.get("MUSTER", "muster")
BROKERS = {
    "de": "broker1.de.example.net:4222",
    "mt": "broker1.mt.example.net:4222",
}


def sign(identity, request):
    """The certificate for a request, in PEM."""
    with tempfile.TemporaryDirectory() as work:
        csr, out = os.path.join(work, "request.csr"), os.path.join(work, "certificate.pem")
        with open(csr, "w") as file:
            file.write(request)
        command = [MUSTER, "ca", "sign", csr, "--dir", CA, "--name", identity, "--out", out]
        subprocess.run(command, check=True, stdout=sys.stderr)
        with open(out) as file:
            return file.read()


def decide(request):
    """What becomes of a node."""
    identity = request["identity"]
    facts = json.loads(request["inventory"]).get("facts") or {}
    country = facts.get("country", "")
    if country not in BROKERS:
        return {"defer": True, "msg": f'no brokers for country "{country}"'}
    configuration = {
        "identity": identity,
        "collectives": "mcollective",
        "plugin.choria.middleware_hosts": os.environ.get("PROVISION_BROKERS", BROKERS[country]),
        "plugin.choria.server.provision": "false",
        "rpcauthorization": "false",
    }
    reply = {"defer": False, "msg": "", "certificate": "", "ca": "", "configuration": configuration}
    if request.get("csr"):
        ssldir = request["csr"]["ssldir"]
        reply["certificate"] = sign(identity, request["csr"]["csr"])
        with open(os.path.join(CA, "ca.pem")) as file:
            reply["ca"] = file.read()
        configuration["plugin.security.provider"] = "file"
        for key, name in (("certificate", "certificate"), ("key", "private"), ("ca", "ca")):
            configuration[f"plugin.security.file.{key}"] = f"{ssldir}/{name}.pem"
    return reply


if __name__ == "__main__":
    json.dump(decide(json.load(sys.stdin)), sys.stdout)
