//! From a URL to a connection: timeouts, and TLS where the URL or the server asks for it.

use std::sync::Arc;
use std::time::Duration;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{Client, Config, NoTls};
use tokio_postgres_rustls_improved::MakeRustlsConnect;

/// How long a connection may take to come about, where the URL does not say.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// After how long without an answer to sent bytes a connection counts as lost, where the URL does not say.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(20);
/// After how long a silent connection is asked whether it still lives.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);

/// A PostgreSQL server and database, and how to reach it.
#[derive(Clone)]
pub(crate) struct Address {
    /// Everything that the URL says, and the defaults.
    pub(crate) config: Config,
    /// The TLS side; nothing where the URL rules TLS out, or the server is reached by a socket of this machine.
    pub(crate) tls: Option<MakeRustlsConnect>,
    /// Whether a pooler in between lends the server's connections by the transaction: `pooler=transaction`.
    pub(crate) pooled: bool,
}

/// What is asked of the server's certificate, by the names that libpq gives them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verify {
    /// Nothing: `prefer` and `require` without `sslrootcert`.
    Nothing,
    /// That a known authority signed it: `verify-ca`, and `require` with `sslrootcert`.
    Authority,
    /// That, and that it names the host: `verify-full`.
    Host,
}

impl Address {
    /// Reads a URL as libpq does, `sslmode=verify-ca|verify-full` and `sslrootcert=FILE` included. The error's text
    /// does not repeat the URL, which may hold a password.
    pub(crate) fn parse(url: &str) -> Result<Self, String> {
        let Parameters { rest, sslmode, rootcert, pooler } = Parameters::take(url)?;
        let pooled = match pooler.as_deref() {
            None | Some("none" | "session") => false,
            Some("transaction") => true,
            Some(other) => return Err(format!("pooler '{other}' is not known: none, session or transaction")),
        };
        let mut config: Config = rest.parse().map_err(|error: tokio_postgres::Error| describe(&error))?;
        if config.get_application_name().is_none() {
            config.application_name("tidings");
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(TCP_USER_TIMEOUT);
        }
        config.keepalives_idle(KEEPALIVE_IDLE);
        let (mode, verify) = match (sslmode.as_deref(), &rootcert) {
            (Some("disable"), _) => (SslMode::Disable, Verify::Nothing),
            (None | Some("prefer" | "allow"), _) => (SslMode::Prefer, Verify::Nothing),
            (Some("require"), None) => (SslMode::Require, Verify::Nothing),
            (Some("require"), Some(_)) | (Some("verify-ca"), _) => (SslMode::Require, Verify::Authority),
            (Some("verify-full"), _) => (SslMode::Require, Verify::Host),
            (Some(other), _) => return Err(format!("sslmode '{other}' is not known")),
        };
        // A socket's peer has no name that a certificate could prove; libpq does not encrypt there either. What stays
        // on this machine is encrypted only where the URL says so.
        let socket = every_host(&config, |host| matches!(host, Host::Unix(_)));
        let unasked = sslmode.is_none() && every_host(&config, stays_here);
        if mode == SslMode::Disable || socket || unasked {
            config.ssl_mode(SslMode::Disable);
            return Ok(Self { config, tls: None, pooled });
        }
        config.ssl_mode(mode);
        let tls = client_config(verify, rootcert.as_deref())?;
        Ok(Self { config, tls: Some(MakeRustlsConnect::new(tls)), pooled })
    }

    /// Opens a connection of its own, driven by a task that ends with it. A server that takes connections and says
    /// nothing, as one that hangs does, is not waited for; the driver's own limit ends before the server's first word.
    pub(crate) async fn connect(&self) -> crate::Result<Client> {
        let each = self.config.get_connect_timeout().copied().unwrap_or(CONNECT_TIMEOUT);
        let hosts = u32::try_from(self.config.get_hosts().len().max(1)).unwrap_or(u32::MAX);
        match tokio::time::timeout(each.saturating_mul(2).saturating_mul(hosts), self.try_connect()).await {
            Ok(connected) => Ok(connected?),
            Err(_) => Err(crate::Error::unavailable("the database does not answer")),
        }
    }

    async fn try_connect(&self) -> Result<Client, tokio_postgres::Error> {
        // The two kinds of connection are different types, so each is driven where it is made. An error of the
        // driver reaches whoever uses the client.
        match &self.tls {
            Some(tls) => {
                let (client, connection) = self.config.connect(tls.clone()).await?;
                tokio::spawn(connection);
                Ok(client)
            }
            None => {
                let (client, connection) = self.config.connect(NoTls).await?;
                tokio::spawn(connection);
                Ok(client)
            }
        }
    }

    /// What makes a pool's connections.
    pub(crate) fn manager(&self) -> deadpool_postgres::Manager {
        use deadpool_postgres::{Manager, ManagerConfig, RecyclingMethod};
        let settings = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        match &self.tls {
            Some(tls) => Manager::from_config(self.config.clone(), tls.clone(), settings),
            None => Manager::from_config(self.config.clone(), NoTls, settings),
        }
    }
}

fn every_host(config: &Config, is: impl Fn(&Host) -> bool) -> bool {
    !config.get_hosts().is_empty() && config.get_hosts().iter().all(is)
}

fn stays_here(host: &Host) -> bool {
    match host {
        Host::Tcp(name) => name == "localhost" || name.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback()),
        Host::Unix(_) => true,
    }
}

/// What went wrong, in words for the operator: the server's own message where there is one.
pub(crate) fn describe(error: &tokio_postgres::Error) -> String {
    use std::error::Error as _;
    if let Some(db) = error.as_db_error() {
        return format!("{} ({})", db.message(), db.code().code());
    }
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// What a URL says that the driver does not know: about TLS, and about a pooler.
#[derive(Default)]
struct Parameters {
    /// The URL without these.
    rest: String,
    sslmode: Option<String>,
    rootcert: Option<String>,
    pooler: Option<String>,
}

impl Parameters {
    fn take(url: &str) -> Result<Self, String> {
        let mut taken = Self::default();
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let mut rest = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match name {
                "sslmode" => taken.sslmode = Some(value.to_owned()),
                "sslrootcert" => {
                    let decoded = url::form_urlencoded::parse(pair.as_bytes()).next();
                    taken.rootcert = decoded.map(|(_, path)| path.into_owned()).filter(|path| path != "system");
                }
                "sslcert" | "sslkey" => {
                    return Err("client certificates (sslcert, sslkey) are not supported".to_owned());
                }
                "pooler" => taken.pooler = Some(value.to_owned()),
                _ => rest.push(pair),
            }
        }
        taken.rest = if rest.is_empty() { base.to_owned() } else { format!("{base}?{}", rest.join("&")) };
        Ok(taken)
    }
}

fn client_config(verify: Verify, rootcert: Option<&str>) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    if verify == Verify::Nothing {
        let verifier = Arc::new(Lenient { authority: None, provider });
        return Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth());
    }
    let roots = Arc::new(roots(rootcert)?);
    if verify == Verify::Host {
        return Ok(builder.with_root_certificates(roots).with_no_client_auth());
    }
    let authority = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider))
        .build()
        .map_err(|error| error.to_string())?;
    let verifier = Arc::new(Lenient { authority: Some(authority), provider });
    Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

/// The authorities of a file, or of the system.
fn roots(rootcert: Option<&str>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    match rootcert {
        Some(path) => {
            let certificates = CertificateDer::pem_file_iter(path).map_err(|error| format!("{path}: {error}"))?;
            for certificate in certificates {
                let certificate = certificate.map_err(|error| format!("{path}: {error}"))?;
                roots.add(certificate).map_err(|error| format!("{path}: {error}"))?;
            }
        }
        None => {
            let (added, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if added == 0 {
                return Err("the system has no certificate authorities; name a file with sslrootcert".to_owned());
            }
        }
    }
    Ok(roots)
}

/// Checks less of a certificate than its whole, as the URL asked: the authority alone, or nothing. The handshake's
/// signatures are always checked.
#[derive(Debug)]
struct Lenient {
    authority: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(authority) = &self.authority else {
            return Ok(ServerCertVerified::assertion());
        };
        match authority.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_says_whether_a_pooler_lends_connections_by_the_transaction() {
        for (url, pooled) in [
            ("postgres://u@h/d", false),
            ("postgres://u@h/d?pooler=session", false),
            ("postgres://u@h/d?pooler=transaction", true),
            ("postgres://u@h/d?connect_timeout=3&pooler=transaction&sslmode=require", true),
        ] {
            assert_eq!(Address::parse(url).map(|address| address.pooled), Ok(pooled), "{url}");
        }
    }

    #[test]
    fn the_url_says_whether_the_connection_is_encrypted() {
        for (url, expect) in [
            ("postgres://u@h/d", Ok((SslMode::Prefer, true))),
            ("postgres://u@h/d?sslmode=disable", Ok((SslMode::Disable, false))),
            ("postgres://u@h/d?sslmode=prefer&connect_timeout=3", Ok((SslMode::Prefer, true))),
            ("postgres://u@h/d?connect_timeout=3&sslmode=require", Ok((SslMode::Require, true))),
            ("postgres://u@localhost/d", Ok((SslMode::Disable, false))),
            ("postgres://u@127.0.0.1/d", Ok((SslMode::Disable, false))),
            ("postgres://u@127.0.0.1,db.example/d", Ok((SslMode::Prefer, true))),
            ("postgres://u@localhost/d?sslmode=require", Ok((SslMode::Require, true))),
            ("postgres://u@%2Frun%2Fpostgresql/d", Ok((SslMode::Disable, false))),
            ("postgres://u@h/d?sslmode=perhaps", Err("sslmode 'perhaps' is not known")),
            ("postgres://u@h/d?sslmode=verify-full&sslrootcert=%2Fno%2Fsuch%20file", Err("/no/such file")),
            ("postgres://u:secret@h/d?nonsense=1", Err("nonsense")),
            ("postgres://u:secret@h/d?pooler=statement", Err("pooler 'statement'")),
        ] {
            match (Address::parse(url), expect) {
                (Ok(address), Ok((mode, tls))) => {
                    assert_eq!((address.config.get_ssl_mode(), address.tls.is_some()), (mode, tls), "{url}");
                    assert_eq!(address.config.get_application_name(), Some("tidings"));
                }
                (Err(error), Err(expect)) => {
                    assert!(error.contains(expect), "{url}: {error}");
                    assert!(!error.contains("secret"), "{error}");
                }
                (found, _) => panic!("{url}: {:?}", found.map(|address| address.config)),
            }
        }
    }
}
