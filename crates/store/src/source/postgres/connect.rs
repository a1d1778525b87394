//! From a URL to a connection that tells what it is brought.

use std::pin::Pin;
use std::time::Duration;

use futures_util::Stream;
use futures_util::stream::poll_fn;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_postgres::{AsyncMessage, Client, Connection, NoTls};

use super::{SourceError, classify};
use crate::postgres::address::Address;

/// How long a connection may take to come about, over all hosts of the URL.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);

/// What a connection brings without being asked; it must be read for the connection to move at all.
pub(super) type Messages = Pin<Box<dyn Stream<Item = Result<AsyncMessage, tokio_postgres::Error>> + Send>>;

/// Where to connect, and how.
#[derive(Clone)]
pub(super) struct Target(Address);

impl Target {
    /// Reads a URL as the store does.
    pub(super) fn parse(url: &str) -> Result<Self, SourceError> {
        Address::parse(url)
            .map(Self)
            .map_err(|reason| SourceError::Broken(format!("the database URL cannot be read: {reason}")))
    }

    /// Whether a pooler in between lends the server's connections by the transaction.
    pub(super) fn is_pooled(&self) -> bool {
        self.0.pooled
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
        match &self.0.tls {
            Some(tls) => {
                let (client, connection) = self.0.config.connect(tls.clone()).await?;
                Ok((client, messages(connection)))
            }
            None => {
                let (client, connection) = self.0.config.connect(NoTls).await?;
                Ok((client, messages(connection)))
            }
        }
    }
}

fn messages<S, T>(mut connection: Connection<S, T>) -> Messages
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    Box::pin(poll_fn(move |context| connection.poll_message(context)))
}
