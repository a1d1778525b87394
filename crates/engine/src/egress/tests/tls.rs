//! Encrypted receivers, and those that should be.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::AsyncWriteExt;
use tokio_rustls::TlsAcceptor;

use super::receiver::{OK, closed, request};
use super::*;

/// For `receiver.test` and 127.0.0.1, signed by itself. Its key is no secret; it was made for these tests.
const CERTIFICATE: &[u8] = include_bytes!("receiver.pem");
const KEY: &[u8] = include_bytes!("receiver.key");

fn certificate() -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(CERTIFICATE).unwrap()
}

async fn receiver(protocols: &[&[u8]]) -> Receiver {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate()], PrivateKeyDer::from_pem_slice(KEY).unwrap())
        .unwrap();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    Receiver::start(move |_, stream| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            while request(&mut stream).await.is_some() {
                stream.write_all(OK).await.unwrap();
                stream.flush().await.unwrap();
            }
        }
    })
    .await
}

fn trusting(resolver: Arc<dyn Resolve>) -> Egress {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate()).unwrap();
    Egress::with(&loopback_allowed(), roots, resolver)
}

fn here() -> Arc<dyn Resolve> {
    Arc::new(Fake::new(&[&["127.0.0.1"]]))
}

#[tokio::test]
async fn an_encrypted_receiver_that_proves_its_name_is_asked() {
    // One that would rather speak HTTP/2 speaks HTTP/1.1 with us.
    for protocols in [&[][..], &[&b"h2"[..], b"http/1.1"]] {
        let receiver = receiver(protocols).await;
        let egress = trusting(here());
        for host in ["receiver.test", "receiver.test.", "127.0.0.1"] {
            let url = format!("https://{host}:{}/", receiver.address.port());
            for _ in 0..2 {
                assert_eq!(&*post(&egress, &url).await.unwrap().body, b"ok", "{host}");
            }
        }
        assert_eq!(receiver.accepted(), 3, "connections are kept by origin");
    }
}

#[tokio::test]
async fn a_receiver_that_cannot_prove_its_name_gets_nothing() {
    let receiver = receiver(&[]).await;
    let port = receiver.address.port();
    let stranger = format!("https://other.test:{port}/");
    assert_eq!(failure_of(&trusting(here()), &stranger, PATIENT).await, Failure::Tls);
    let unknown = format!("https://127.0.0.1:{port}/");
    assert_eq!(failure_of(&local(), &unknown, PATIENT).await, Failure::Tls);
}

#[tokio::test]
async fn what_is_not_encrypted_gets_nothing() {
    let answers: [&'static [u8]; 3] = [OK, b"SSH-2.0-OpenSSH_9.2\r\n", b""];
    for answer in answers {
        let receiver = Receiver::start(move |_, mut stream| async move {
            stream.write_all(answer).await.unwrap();
        })
        .await;
        let url = format!("https://127.0.0.1:{}/", receiver.address.port());
        assert_eq!(failure_of(&local(), &url, PATIENT).await, Failure::Tls);
    }
}

#[tokio::test]
async fn an_encryption_that_is_never_agreed_on_is_ended_at_the_deadline() {
    let (ended, mut ends) = tokio::sync::mpsc::channel(1);
    let receiver = Receiver::start(move |_, mut stream| {
        let ended = ended.clone();
        async move {
            closed(&mut stream).await;
            ended.send(()).await.unwrap();
        }
    })
    .await;
    let url = format!("https://127.0.0.1:{}/", receiver.address.port());
    assert_eq!(failure_of(&local(), &url, SHORT).await, Failure::Timeout);
    ends.recv().await.unwrap();
}
