//! Buffers a caller keeps from message to message, so that the hot paths allocate nothing once they are warm.

/// Working memory for [`encode_reply_transport`](crate::reply::encode_reply_transport),
/// [`parse_reply`](crate::reply::parse_reply) and the request encoder.
///
/// One per thread is enough. It grows to about three times the largest message it has seen and keeps that.
#[derive(Debug, Default)]
pub struct Scratch {
    /// The secure document: decoded from, or about to become, `transport.data`.
    pub(crate) secure: Vec<u8>,
    /// The request or reply document, unescaped.
    pub(crate) inner: Vec<u8>,
    /// The body of the agent, unescaped.
    pub(crate) body: Vec<u8>,
    /// The same as `inner`, while encoding.
    pub(crate) encoded: Vec<u8>,
}

impl Scratch {
    /// Empty buffers, nothing allocated.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            secure: Vec::new(),
            inner: Vec::new(),
            body: Vec::new(),
            encoded: Vec::new(),
        }
    }
}
