#!/usr/bin/env ruby
# A provisioning helper in Ruby: signs the node's request with `muster ca sign`, and places the node by its country.
# One JSON document in, one out; see docs/provisioning.md.

require "json"
require "open3"
require "tmpdir"

CA = ENV.fetch("PROVISION_CA", "/etc/muster/ca")
MUSTER = ENV.fetch("MUSTER", "muster")
BROKERS = {
  "de" => "broker1.de.example.net:4222",
  "mt" => "broker1.mt.example.net:4222"
}.freeze

# The certificate for a request, in PEM.
def sign(identity, request)
  Dir.mktmpdir do |work|
    csr = File.join(work, "request.csr")
    out = File.join(work, "certificate.pem")
    File.write(csr, request)
    said, status = Open3.capture2e(MUSTER, "ca", "sign", csr, "--dir", CA, "--name", identity, "--out", out)
    abort("muster ca sign failed: #{said}") unless status.success?
    File.read(out)
  end
end

# What becomes of a node.
def decide(request)
  identity = request["identity"]
  facts = JSON.parse(request["inventory"])["facts"] || {}
  country = facts.fetch("country", "")
  return {"defer" => true, "msg" => "no brokers for country \"#{country}\""} unless BROKERS.key?(country)

  configuration = {
    "identity" => identity,
    "collectives" => "mcollective",
    "plugin.choria.middleware_hosts" => ENV.fetch("PROVISION_BROKERS", BROKERS[country]),
    "plugin.choria.server.provision" => "false",
    "rpcauthorization" => "false"
  }
  reply = {"defer" => false, "msg" => "", "certificate" => "", "ca" => "", "configuration" => configuration}
  if request["csr"]
    ssldir = request["csr"]["ssldir"]
    reply["certificate"] = sign(identity, request["csr"]["csr"])
    reply["ca"] = File.read(File.join(CA, "ca.pem"))
    configuration["plugin.security.provider"] = "file"
    {"certificate" => "certificate", "key" => "private", "ca" => "ca"}.each do |key, name|
      configuration["plugin.security.file.#{key}"] = "#{ssldir}/#{name}.pem"
    end
  end
  reply
end

puts JSON.dump(decide(JSON.parse($stdin.read)))
