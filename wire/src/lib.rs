//! The NATS text protocol: incremental parser, encoders, subjects, INFO and CONNECT.
