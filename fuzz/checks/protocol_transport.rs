//! A transport that parses must come out of the encoder with the same meaning; a whole reply must be survived.

use muster_protocol::Scratch;
use muster_protocol::reply::parse_reply;
use muster_protocol::transport::Transport;
use muster_protocol::version::detect_version;

pub(crate) fn run(data: &[u8]) {
    let _ = detect_version(data);
    let _ = parse_reply(data, &mut Scratch::new());
    let Ok(transport) = Transport::parse(data) else {
        return;
    };
    let _ = transport.decode_data(&mut Vec::new());
    let mut out = Vec::new();
    transport.encode_into(&mut out);
    assert_eq!(Transport::parse(&out), Ok(transport));
}
