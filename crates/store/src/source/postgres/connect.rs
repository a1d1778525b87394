//! From a URL to a connection, with TLS where it is asked for.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::Stream;
use futures_util::stream::poll_fn;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{AsyncMessage, Client, Config, Connection, NoTls};
use tokio_postgres_rustls_improved::MakeRustlsConnect;

use super::{SourceError, classify};

/// How long a connection may take to come about.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);
/// Silence after which the system asks whether the other end is still there.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// What a connection brings without being asked; it must be read for the connection to move at all.
pub(super) type Messages = Pin<Box<dyn Stream<Item = Result<AsyncMessage, tokio_postgres::Error>> + Send>>;

/// Where to connect, and how.
#[derive(Clone)]
pub(super) struct Target {
    config: Config,
    tls: Option<MakeRustlsConnect>,
    /// Whether a server that cannot do TLS, or shows a certificate that nobody vouches for, will do.
    may_be_plain: bool,
}

impl Target {
    /// Reads a URL. `sslmode` is `disable`, `prefer`, `require`, `verify-ca` or `verify-full`; a certificate is
    /// always verified in full, against the system's authorities or those in the file of `sslrootcert`.
    pub(super) fn parse(url: &str) -> Result<Self, SourceError> {
        let (url, roots) = take_tls_parameters(url);
        let mut config: Config =
            url.parse().map_err(|error| SourceError::Broken(format!("the database URL cannot be read: {error}")))?;
        config.connect_timeout(CONNECT_PATIENCE).keepalives_idle(KEEPALIVE).tcp_user_timeout(KEEPALIVE * 2);
        if config.get_application_name().is_none() {
            config.application_name("tidings");
        }
        let remote = config.get_hosts().iter().any(|host| match host {
            Host::Tcp(name) => name != "localhost" && !name.starts_with("127.") && name != "::1",
            Host::Unix(_) => false,
        });
        let may_be_plain = config.get_ssl_mode() != SslMode::Require;
        let wanted = config.get_ssl_mode() != SslMode::Disable && (remote || !may_be_plain);
        let tls = if wanted { Some(MakeRustlsConnect::new(client_config(roots)?)) } else { None };
        Ok(Self { config, tls, may_be_plain })
    }

    /// A new connection, with what it brings.
    pub(super) async fn open(&self) -> Result<(Client, Messages), SourceError> {
        match tokio::time::timeout(CONNECT_PATIENCE, self.try_open()).await {
            Ok(opened) => opened.map_err(|error| match classify(&error) {
                // Whatever keeps a connection from coming about may be mended without a change here.
                SourceError::Broken(text) => SourceError::Unavailable(text),
                other => other,
            }),
            Err(_) => Err(SourceError::Unavailable(format!("no connection in {} s", CONNECT_PATIENCE.as_secs()))),
        }
    }

    async fn try_open(&self) -> Result<(Client, Messages), tokio_postgres::Error> {
        if let Some(tls) = &self.tls {
            match self.config.connect(tls.clone()).await {
                Ok((client, connection)) => return Ok((client, messages(connection))),
                Err(error) if !self.may_be_plain || error.code().is_some() => return Err(error),
                Err(_) => {}
            }
        }
        let (client, connection) = self.config.connect(NoTls).await?;
        Ok((client, messages(connection)))
    }
}

fn messages<S, T>(mut connection: Connection<S, T>) -> Messages
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    Box::pin(poll_fn(move |context| connection.poll_message(context)))
}

/// Takes out what the driver does not know: the file of authorities, and the modes that verify, which is all that
/// `require` does here.
fn take_tls_parameters(url: &str) -> (String, Option<String>) {
    let Some((base, query)) = url.split_once('?') else { return (url.to_owned(), None) };
    let mut roots = None;
    let mut kept = Vec::new();
    for parameter in query.split('&') {
        match parameter.split_once('=') {
            Some(("sslrootcert", "system")) => {}
            Some(("sslrootcert", file)) => roots = Some(file.replace("%2F", "/").replace("%2f", "/")),
            Some(("sslmode", "verify-ca" | "verify-full")) => kept.push("sslmode=require"),
            Some(("sslmode", "allow")) => kept.push("sslmode=prefer"),
            _ => kept.push(parameter),
        }
    }
    (if kept.is_empty() { base.to_owned() } else { format!("{base}?{}", kept.join("&")) }, roots)
}

fn client_config(roots: Option<String>) -> Result<ClientConfig, SourceError> {
    let mut store = RootCertStore::empty();
    match roots {
        Some(file) => {
            let unreadable = |error: &dyn std::fmt::Display| {
                SourceError::Broken(format!("the certificates in {file} cannot be read: {error}"))
            };
            for certificate in CertificateDer::pem_file_iter(&file).map_err(|error| unreadable(&error))? {
                let certificate = certificate.map_err(|error| unreadable(&error))?;
                store.add(certificate).map_err(|error| unreadable(&error))?;
            }
        }
        // A machine may have none; then no certificate is valid, which the connection will say.
        None => drop(store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)),
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| SourceError::Broken(error.to_string()))?
        .with_root_certificates(store)
        .with_no_client_auth();
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_driver_does_not_know_is_taken_out_of_the_url() {
        for (url, expect, roots) in [
            ("postgres://u@h/d", "postgres://u@h/d", None),
            ("postgres://h/d?sslmode=verify-full", "postgres://h/d?sslmode=require", None),
            ("postgres://h/d?sslrootcert=%2Fetc%2Fca.pem&a=b", "postgres://h/d?a=b", Some("/etc/ca.pem")),
            ("postgres://h/d?sslrootcert=system", "postgres://h/d", None),
        ] {
            assert_eq!(take_tls_parameters(url), (expect.to_owned(), roots.map(str::to_owned)));
        }
    }

    #[test]
    fn tls_is_used_where_it_is_asked_for_or_the_way_is_long() {
        for (url, tls) in [
            ("postgres://u@127.0.0.1/d", false),
            ("postgres://u@%2Frun/d", false),
            ("postgres://u@localhost/d?sslmode=require", true),
            ("postgres://u@db.example/d", true),
            ("postgres://u@db.example/d?sslmode=disable", false),
        ] {
            let target = Target::parse(url);
            assert_eq!(target.is_ok_and(|target| target.tls.is_some()), tls, "{url}");
        }
    }
}
