//! The client against receivers of every kind, and against those that mean harm. Receivers are sockets that say exactly
//! what a test wants said. Deadlines are short where a test waits for one; no test asks how long anything took.

mod exchanges;
mod forgery;
mod hostile;
mod proxies;
mod receiver;
mod tls;

use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::resolve::{Addresses, Resolve, Unresolved};
use super::*;
use receiver::Receiver;

/// Long enough for everything that is meant to succeed, on a busy machine too.
const PATIENT: Duration = Duration::from_secs(30);
/// Long enough to be sure that a connection was made, short enough to wait for.
const SHORT: Duration = Duration::from_millis(300);

/// Where test receivers live.
fn loopback_allowed() -> EgressOptions {
    EgressOptions {
        allow_cidrs: vec!["127.0.0.1/32".parse().unwrap()],
        allow_http: true,
        timeout: PATIENT,
        ..EgressOptions::default()
    }
}

fn egress(options: &EgressOptions) -> Egress {
    Egress::with(options, rustls::RootCertStore::empty(), resolve::system())
}

fn local() -> Egress {
    egress(&loopback_allowed())
}

fn resolving(options: &EgressOptions, resolver: Fake) -> (Egress, Arc<Fake>) {
    let resolver = Arc::new(resolver);
    (Egress::with(options, rustls::RootCertStore::empty(), Arc::clone(&resolver) as Arc<dyn Resolve>), resolver)
}

/// A resolver that gives each answer in turn, over and over.
struct Fake {
    answers: Vec<Vec<IpAddr>>,
    asked: AtomicUsize,
}

impl Fake {
    fn new(answers: &[&[&str]]) -> Self {
        let answers = answers.iter().map(|answer| answer.iter().map(|ip| ip.parse().unwrap()).collect()).collect();
        Self { answers, asked: AtomicUsize::new(0) }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Resolve for Fake {
    fn resolve(&self, _: &Arc<str>) -> BoxFuture<'static, Addresses> {
        let turn = self.asked.fetch_add(1, Ordering::SeqCst);
        let answer = match self.answers.len() {
            0 => Err(Unresolved::NoAddress),
            count => Ok(Arc::from(self.answers[turn % count].as_slice())),
        };
        async move { answer }.boxed()
    }
}

fn call(egress: &Egress, url: &str, timeout: Duration) -> Call {
    let headers = HeaderMap::from_iter([(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
    Call { target: egress.target(url).unwrap(), headers, body: Bytes::from_static(b"{\"a\":1}"), timeout }
}

async fn post(egress: &Egress, url: &str) -> Result<Reply, SendError> {
    egress.post(call(egress, url, PATIENT)).await
}

/// What became of a request that has little time.
async fn failure_of(egress: &Egress, url: &str, timeout: Duration) -> Failure {
    egress.post(call(egress, url, timeout)).await.unwrap_err().failure
}
