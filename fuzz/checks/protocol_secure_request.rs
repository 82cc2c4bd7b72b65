//! A secure request or reply that parses must come out of the encoder with the same meaning.

use muster_protocol::secure_reply::SecureReply;
use muster_protocol::secure_request::SecureRequest;
use muster_protocol::version::ProtocolVersion;

pub(crate) fn run(data: &[u8]) {
    if let Ok(request) = SecureRequest::parse(data) {
        let mut out = Vec::new();
        SecureRequest::encode_with(&mut out, &request.message, &request.proof());
        assert_eq!(SecureRequest::parse(&out), Ok(request));
    }
    if let Ok(reply) = SecureReply::parse(data) {
        let mut out = Vec::new();
        match reply.version {
            ProtocolVersion::V2 => {
                SecureReply::encode_v2_into(&mut out, reply.message.as_bytes(), None);
            }
            _ => SecureReply::encode_into(&mut out, &reply.message),
        }
        let ours = SecureReply::parse(&out).expect("our own encoding parses");
        assert!(ours.verify_hash());
        assert_eq!(ours.message, reply.message);
    }
}
