//! A throw-away certificate authority, and two sessions joined in memory.

#![allow(
    dead_code,
    reason = "each test binary includes this module and uses a part of it"
)]
#![expect(
    clippy::unwrap_used,
    reason = "clippy exempts test functions only, not what they call"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use muster_reactor::tls::{
    ClientAuth, ServerVerification, TlsError, TlsFiles, TlsSession, TlsState, server_config,
    server_verifier,
};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::SupportedProtocolVersion;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ServerConfig};

/// Both versions with the name a session gives them.
pub(crate) const VERSIONS: [(&SupportedProtocolVersion, &str); 2] =
    [(&TLS12, "1.2"), (&TLS13, "1.3")];

pub(crate) const SERVER_NAME: &str = "broker.example";

pub(crate) struct Authority {
    pub(crate) pem: String,
    pub(crate) issuer: Issuer<'static, KeyPair>,
}

pub(crate) struct Identity {
    pub(crate) cert: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        // Each has its own name: otherwise a foreign certificate fails for its signature, not for its issuer.
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params
            .distinguished_name
            .push(DnType::CommonName, format!("authority {number}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            pem,
            issuer: Issuer::new(params, key),
        }
    }

    pub(crate) fn issue(&self, name: &str, usage: ExtendedKeyUsagePurpose) -> Identity {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate().unwrap();
        Identity {
            cert: params.signed_by(&key, &self.issuer).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }

    pub(crate) fn server(&self) -> Identity {
        self.issue(SERVER_NAME, ExtendedKeyUsagePurpose::ServerAuth)
    }

    pub(crate) fn node(&self) -> Identity {
        self.issue("node1.example", ExtendedKeyUsagePurpose::ClientAuth)
    }

    /// A server's configuration that knows this authority, also for its clients.
    pub(crate) fn server_config(&self, auth: ClientAuth) -> Arc<ServerConfig> {
        let identity = self.server();
        let files = TlsFiles {
            cert: &identity.cert,
            key: &identity.key,
            ca: Some(&self.pem),
            crl: None,
        };
        server_config(&files, auth).unwrap()
    }

    /// A client's configuration restricted to one version, which the crate itself has no reason to offer.
    pub(crate) fn client_of_version(
        &self,
        identity: Option<&Identity>,
        version: &'static SupportedProtocolVersion,
    ) -> Arc<ClientConfig> {
        let verifier = server_verifier(Some(&self.pem), ServerVerification::Full).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let config = match identity {
            Some(Identity { cert, key }) => builder
                .with_client_auth_cert(
                    vec![CertificateDer::from_pem_slice(cert.as_bytes()).unwrap()],
                    PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
                )
                .unwrap(),
            None => builder.with_no_client_auth(),
        };
        Arc::new(config)
    }
}

/// How a chunk is handed to a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Feed {
    Copied,
    InPlace,
}

/// One session and what came out of it.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) session: TlsSession,
    pub(crate) plaintext: Vec<u8>,
    /// Bytes for the other end.
    pub(crate) out: Vec<u8>,
}

impl End {
    pub(crate) fn new(session: TlsSession) -> Self {
        Self {
            session,
            plaintext: Vec::new(),
            out: Vec::new(),
        }
    }

    pub(crate) fn feed(&mut self, bytes: &[u8], split: usize, feed: Feed) -> Result<(), TlsError> {
        for chunk in bytes.chunks(split) {
            let (plaintext, out) = (&mut self.plaintext, &mut self.out);
            let state = match feed {
                Feed::Copied => self.session.handle_ciphertext(chunk, plaintext, out),
                Feed::InPlace => {
                    let mut scratch = chunk.to_vec();
                    let state =
                        self.session
                            .handle_ciphertext_in_place(&mut scratch, plaintext, out);
                    // The buffer is the caller's again: nothing of it may be looked at later.
                    scratch.fill(0xaa);
                    state
                }
            }?;
            assert_eq!(state, self.session.state());
        }
        Ok(())
    }

    pub(crate) fn send(&mut self, plaintext: &[u8]) {
        self.session.encrypt(plaintext, &mut self.out).unwrap();
    }
}

pub(crate) struct Pair {
    pub(crate) client: End,
    pub(crate) server: End,
    pub(crate) split: usize,
    pub(crate) feed: Feed,
}

/// Which end of a pair failed.
#[derive(Debug, PartialEq)]
pub(crate) enum Failure {
    Client(TlsError),
    Server(TlsError),
}

impl Pair {
    pub(crate) fn new(client: &Arc<ClientConfig>, server: &Arc<ServerConfig>) -> Self {
        let mut pair = Self {
            client: End::new(TlsSession::client(client, SERVER_NAME).unwrap()),
            server: End::new(TlsSession::server(server).unwrap()),
            split: usize::MAX,
            feed: Feed::InPlace,
        };
        let state = pair.client.session.start(&mut pair.client.out).unwrap();
        assert_eq!(state, TlsState::Handshaking);
        let state = pair.server.session.start(&mut pair.server.out).unwrap();
        assert_eq!(state, TlsState::Handshaking);
        assert!(
            pair.server.out.is_empty(),
            "a server has nothing to say first"
        );
        pair
    }

    /// Carries bytes both ways until neither end has any.
    pub(crate) fn settle(&mut self) -> Result<(), Failure> {
        while !(self.client.out.is_empty() && self.server.out.is_empty()) {
            let bytes = std::mem::take(&mut self.client.out);
            self.server
                .feed(&bytes, self.split, self.feed)
                .map_err(Failure::Server)?;
            let bytes = std::mem::take(&mut self.server.out);
            self.client
                .feed(&bytes, self.split, self.feed)
                .map_err(Failure::Client)?;
        }
        Ok(())
    }

    /// An established pair.
    pub(crate) fn established(client: &Arc<ClientConfig>, server: &Arc<ServerConfig>) -> Self {
        let mut pair = Self::new(client, server);
        pair.settle().unwrap();
        assert_eq!(pair.client.session.state(), TlsState::Established);
        assert_eq!(pair.server.session.state(), TlsState::Established);
        pair
    }
}

/// Bytes that don't repeat at any record size.
pub(crate) fn pattern(len: usize, seed: u64) -> Vec<u8> {
    let mut random = Random(seed | 1);
    (0..len).map(|_| random.next_byte()).collect()
}

/// xorshift64*, enough to vary inputs and to repeat them.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(crate) fn next_byte(&mut self) -> u8 {
        self.next().to_be_bytes()[0]
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }
}
