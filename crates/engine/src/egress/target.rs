//! URLs that were checked, once, before anything is sent to them.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderMap, HeaderValue, Method, Request, Uri};
use http_body_util::Full;
use rustls::pki_types::ServerName;
use url::{Position, Url};

use super::address::Policy;
use crate::options::EgressOptions;

/// Ports at which something else than HTTP is at home and could take a request for something that it understands: the
/// mail, name, file, remote login, chat and directory services that browsers refuse as well, databases and brokers.
const REFUSED_PORTS: [u16; 66] = [
    0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 79, 87, 95, 110, 111, 113, 119, 123, 135,
    137, 139, 143, 161, 179, 389, 445, 465, 512, 513, 514, 515, 540, 548, 554, 587, 636, 873, 993, 995, 1433, 1521,
    1883, 2049, 3306, 3389, 4222, 5060, 5432, 5672, 5900, 6000, 6379, 6667, 9042, 9092, 11211, 27017,
];

/// Why a URL may not be requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    /// It is no URL that a request can carry.
    #[error("the URL cannot be requested: {0}")]
    Malformed(&'static str),
    /// It is one, but its scheme, its port or its address is not allowed.
    #[error("the URL may not be requested: {0}")]
    Forbidden(&'static str),
}

/// What the operator allows.
pub(super) struct Rules {
    policy: Arc<Policy>,
    allow_http: bool,
    allow_ports: Vec<u16>,
}

/// A URL that was parsed and checked. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Target(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    /// Scheme, host and port: what connections are kept by.
    origin: Arc<str>,
    host: Host,
    port: u16,
    /// The name that the server has to prove, where the scheme is https.
    server_name: Option<ServerName<'static>>,
    /// The value of `host`.
    authority: HeaderValue,
    /// Path and query.
    path: Uri,
}

/// A host: an address, or a name that is still to be resolved.
#[derive(Debug, Clone)]
pub(super) enum Host {
    Address(IpAddr),
    Name(Arc<str>),
}

impl Rules {
    pub(super) fn new(options: &EgressOptions) -> Self {
        Self {
            policy: Arc::new(Policy::new(&options.allow_cidrs)),
            allow_http: options.allow_http,
            allow_ports: options.allow_ports.clone(),
        }
    }

    pub(super) fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.policy)
    }

    pub(super) fn target(&self, url: &str) -> Result<Target, Error> {
        // Parsing normalizes the ways to write an address: `0x7f.1` and `2130706433` become 127.0.0.1.
        let url = Url::parse(url).map_err(|_| Error::Malformed("it is not absolute"))?;
        let encrypted = match url.scheme() {
            "https" => true,
            "http" if self.allow_http => false,
            "http" => return Err(Error::Forbidden("plain http is not allowed")),
            _ => return Err(Error::Forbidden("its scheme is not https")),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Error::Malformed("it holds credentials"));
        }
        let port = url.port_or_known_default().ok_or(Error::Malformed("it has no port"))?;
        if !self.allows_port(port) {
            return Err(Error::Forbidden("its port is not allowed"));
        }
        let host = match url.host() {
            Some(url::Host::Domain(name)) => Host::Name(Arc::from(name)),
            Some(url::Host::Ipv4(address)) => Host::Address(IpAddr::V4(address)),
            Some(url::Host::Ipv6(address)) => Host::Address(IpAddr::V6(address)),
            None => return Err(Error::Malformed("it has no host")),
        };
        if let Host::Address(address) = host
            && !self.policy.allows(address)
        {
            return Err(Error::Forbidden("its address is not allowed"));
        }
        let unfit = |_| Error::Malformed("it has a part that no request can carry");
        let authority =
            HeaderValue::from_str(&url[Position::BeforeHost..Position::AfterPort]).map_err(|_| unfit(()))?;
        let path = Uri::try_from(&url[Position::BeforePath..Position::AfterQuery]).map_err(|_| unfit(()))?;
        let server_name = encrypted.then(|| server_name(&host)).transpose()?;
        let origin = Arc::from(&url[..Position::BeforePath]);
        Ok(Target(Arc::new(Parts { origin, host, port, server_name, authority, path })))
    }

    fn allows_port(&self, port: u16) -> bool {
        if self.allow_ports.is_empty() { !REFUSED_PORTS.contains(&port) } else { self.allow_ports.contains(&port) }
    }
}

fn server_name(host: &Host) -> Result<ServerName<'static>, Error> {
    match host {
        Host::Address(address) => Ok(ServerName::from(*address)),
        Host::Name(name) => {
            // A dot at the end is for the resolver alone; no certificate has it.
            let name = name.strip_suffix('.').unwrap_or(name).to_owned();
            ServerName::try_from(name)
                .map_err(|_| Error::Malformed("its host is not a name that a certificate can hold"))
        }
    }
}

impl Target {
    pub(super) fn origin(&self) -> &Arc<str> {
        &self.0.origin
    }

    pub(super) fn host(&self) -> &Host {
        &self.0.host
    }

    /// The host as a text.
    pub(crate) fn host_name(&self) -> String {
        match &self.0.host {
            Host::Address(address) => address.to_string(),
            Host::Name(name) => name.to_string(),
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.0.port
    }

    pub(super) fn server_name(&self) -> Option<&ServerName<'static>> {
        self.0.server_name.as_ref()
    }

    pub(super) fn request(&self, method: Method, mut headers: HeaderMap, body: Bytes) -> Request<Full<Bytes>> {
        headers.insert(HOST, self.0.authority.clone());
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = self.0.path.clone();
        *request.headers_mut() = headers;
        request
    }
}
