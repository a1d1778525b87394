//! Free ports.

use std::net::{Ipv4Addr, TcpListener};

/// A TCP port of 127.0.0.1 on which nobody listened a moment ago.
///
/// Another process may take it before the caller does; whoever starts a server on it should be ready to try again.
#[must_use]
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("127.0.0.1 has a free port");
    listener.local_addr().expect("a bound listener has an address").port()
}
