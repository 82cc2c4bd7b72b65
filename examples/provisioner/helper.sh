#!/bin/sh
# A provisioning helper in shell: signs the node's request with `muster ca sign`, and places the node by its country.
# Needs jq. One JSON document in, one out; see docs/provisioning.md.
set -eu

CA="${PROVISION_CA:-/etc/muster/ca}"
MUSTER="${MUSTER:-muster}"

request=$(cat)
identity=$(printf %s "$request" | jq -r '.identity')
country=$(printf %s "$request" | jq -r '.inventory | fromjson | .facts.country // ""')

case "$country" in
    de) brokers=broker1.de.example.net:4222 ;;
    mt) brokers=broker1.mt.example.net:4222 ;;
    *)
        jq -n --arg msg "no brokers for country \"$country\"" '{defer: true, msg: $msg}'
        exit 0
        ;;
esac

certificate='' ca='' ssldir=''
if [ "$(printf %s "$request" | jq -r '.csr != null')" = true ]; then
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    printf %s "$request" | jq -r '.csr.csr' > "$work/request.csr"
    "$MUSTER" ca sign "$work/request.csr" --dir "$CA" --name "$identity" --out "$work/certificate.pem" >&2
    certificate=$(cat "$work/certificate.pem")
    ca=$(cat "$CA/ca.pem")
    ssldir=$(printf %s "$request" | jq -r '.csr.ssldir')
fi

jq -n --arg identity "$identity" --arg brokers "${PROVISION_BROKERS:-$brokers}" \
    --arg certificate "$certificate" --arg ca "$ca" --arg ssldir "$ssldir" '
{
    defer: false,
    msg: "",
    certificate: $certificate,
    ca: $ca,
    configuration: ({
        "identity": $identity,
        "collectives": "mcollective",
        "plugin.choria.middleware_hosts": $brokers,
        "plugin.choria.server.provision": "false",
        "rpcauthorization": "false"
    } + if $ssldir == "" then {} else {
        "plugin.security.provider": "file",
        "plugin.security.file.certificate": ($ssldir + "/certificate.pem"),
        "plugin.security.file.key": ($ssldir + "/private.pem"),
        "plugin.security.file.ca": ($ssldir + "/ca.pem")
    } end)
}'
