//! Connections through a proxy. The proxy is told the address that was checked, never a name: it would resolve the
//! name once more, and differently. What the receiver sees (`host`, the name in its certificate) is unchanged.

use std::io;
use std::net::{IpAddr, SocketAddr};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use percent_encoding::percent_decode_str;
use tidings_event::delivery::Failure;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use url::Url;

use super::SendError;

/// Bytes of an HTTP proxy's answer.
const ANSWER_BYTES_MAX: usize = 8 * 1024;

/// A proxy, as the operator named it: `http://[user:password@]host:port` or `socks5://…`.
pub(super) struct Proxy {
    kind: Kind,
    host: String,
    port: u16,
    credentials: Option<Credentials>,
}

enum Kind {
    Http,
    Socks5,
    Unknown,
}

struct Credentials {
    user: Vec<u8>,
    password: Vec<u8>,
}

/// Whether a proxy of this kind can be used.
pub(crate) fn is_known(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "socks5") && url.host_str().is_some()
}

impl Proxy {
    pub(super) fn new(url: &Url) -> Self {
        let (kind, port) = match url.scheme() {
            "http" => (Kind::Http, 80),
            "socks5" => (Kind::Socks5, 1080),
            _ => (Kind::Unknown, 0),
        };
        let decode = |text: &str| percent_decode_str(text).collect();
        let credentials = (!url.username().is_empty() || url.password().is_some()).then(|| Credentials {
            user: decode(url.username()),
            password: decode(url.password().unwrap_or_default()),
        });
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        Self { kind, host, port: url.port().unwrap_or(port), credentials }
    }

    /// A connection to the address, through the proxy. The caller sees to the deadline.
    pub(super) async fn connect(&self, address: SocketAddr) -> Result<TcpStream, SendError> {
        let reached = TcpStream::connect((self.host.as_str(), self.port)).await;
        let mut stream = reached.map_err(|error| failed(format!("cannot be reached: {}", error.kind())))?;
        match self.kind {
            Kind::Http => self.ask_http(&mut stream, address).await?,
            Kind::Socks5 => self.ask_socks5(&mut stream, address).await?,
            Kind::Unknown => return Err(failed("is neither http:// nor socks5://")),
        }
        Ok(stream)
    }

    /// `CONNECT`, RFC 9110.
    async fn ask_http(&self, stream: &mut TcpStream, address: SocketAddr) -> Result<(), SendError> {
        let mut request = format!("CONNECT {address} HTTP/1.1\r\nhost: {address}\r\n");
        if let Some(Credentials { user, password }) = &self.credentials {
            let credentials = BASE64_STANDARD.encode([user.as_slice(), b":", password].concat());
            request.push_str("proxy-authorization: Basic ");
            request.push_str(&credentials);
            request.push_str("\r\n");
        }
        request.push_str("\r\n");
        stream.write_all(request.as_bytes()).await.map_err(broke)?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            // A byte at a time: what follows the head is the receiver's.
            answer.push(stream.read_u8().await.map_err(broke)?);
            if answer.len() == ANSWER_BYTES_MAX {
                return Err(failed("answers with too large a head"));
            }
        }
        match answer.strip_prefix(b"HTTP/1.").and_then(|rest| rest.get(2..5)) {
            Some([b'2', _, _]) => Ok(()),
            Some(status) => Err(failed(format!("answers with status {}", String::from_utf8_lossy(status)))),
            None => Err(failed("does not answer in HTTP")),
        }
    }

    /// RFC 1928, and RFC 1929 for the credentials.
    async fn ask_socks5(&self, stream: &mut TcpStream, address: SocketAddr) -> Result<(), SendError> {
        const VERSION: u8 = 5;
        const ANONYMOUS: u8 = 0;
        const PASSWORD: u8 = 2;
        let method = if self.credentials.is_some() { PASSWORD } else { ANONYMOUS };
        stream.write_all(&[VERSION, 1, method]).await.map_err(broke)?;
        let mut chosen = [0; 2];
        stream.read_exact(&mut chosen).await.map_err(broke)?;
        if chosen != [VERSION, method] {
            return Err(failed("does not take this way of logging in"));
        }
        if let Some(credentials) = &self.credentials {
            stream.write_all(&credentials.socks5()?).await.map_err(broke)?;
            let mut verdict = [0; 2];
            stream.read_exact(&mut verdict).await.map_err(broke)?;
            if verdict[1] != 0 {
                return Err(failed("does not take these credentials"));
            }
        }
        let mut request = vec![VERSION, 1, 0];
        match address.ip() {
            IpAddr::V4(ip) => {
                request.push(1);
                request.extend(ip.octets());
            }
            IpAddr::V6(ip) => {
                request.push(4);
                request.extend(ip.octets());
            }
        }
        request.extend(address.port().to_be_bytes());
        stream.write_all(&request).await.map_err(broke)?;
        // Version, verdict, a zero, and the address that the proxy connects from, which is of no interest.
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).await.map_err(broke)?;
        if answer[0] != VERSION || answer[1] != 0 {
            return Err(failed(format!("does not make the connection (code {})", answer[1])));
        }
        let rest = match answer[3] {
            1 => 4,
            4 => 16,
            3 => usize::from(stream.read_u8().await.map_err(broke)?),
            _ => return Err(failed("does not answer in SOCKS5")),
        };
        let mut from = [0; 255 + 2];
        stream.read_exact(&mut from[..rest + 2]).await.map_err(broke)?;
        Ok(())
    }
}

impl Credentials {
    fn socks5(&self) -> Result<Vec<u8>, SendError> {
        let mut message = vec![1];
        for part in [&self.user, &self.password] {
            message.push(u8::try_from(part.len()).map_err(|_| failed("takes at most 255 bytes of a credential"))?);
            message.extend(part);
        }
        Ok(message)
    }
}

fn failed(what: impl std::fmt::Display) -> SendError {
    SendError::new(Failure::Proxy, format!("the proxy {what}"))
}

#[expect(clippy::needless_pass_by_value, reason = "it is handed over by map_err")]
fn broke(error: io::Error) -> SendError {
    failed(format!("broke the connection: {}", error.kind()))
}
