//! All I/O and all unsafe code: poll loop, timers, wakers, listeners, TLS, descriptor tables, HTTP.
