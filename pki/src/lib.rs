//! Makes a certificate authority and issues broker, node and client certificates.
