//! The fleet messages: transport, secure request and reply, request, reply, filters, RPC bodies, signing.
