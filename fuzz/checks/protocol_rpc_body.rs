//! An RPC body that parses must come out of the encoder with the same meaning; any text is some body.

use muster_protocol::filter::{Filter, parse_with};
use muster_protocol::rpc::{RpcReply, RpcRequest, decode_body, is_discovery_ping};

pub(crate) fn run(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        let body = decode_body(text);
        let _ = is_discovery_ping(&body);
        let _ = RpcRequest::parse(&body);
        parse_with(&mut Filter::default(), text);
    }
    if let Ok(request) = RpcRequest::parse(data) {
        let body = RpcRequest::encode(&request.agent, &request.action, request.data);
        assert_eq!(RpcRequest::parse(body.as_bytes()), Ok(request));
    }
    if let Ok(reply) = RpcReply::parse(data) {
        let action = reply.action.as_deref().unwrap_or_default();
        let mut out = Vec::new();
        RpcReply::encode_into(
            &mut out,
            action,
            reply.statuscode,
            &reply.statusmsg,
            reply.data,
        );
        assert_eq!(RpcReply::parse(&out), Ok(reply));
    }
}
