//! An endpoint that reacts as a test says and keeps what it got.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use crate::support::PATIENCE;

/// One request, as it came.
#[derive(Debug, Clone)]
pub struct Delivery {
    pub headers: BTreeMap<String, String>,
    pub sequence: u64,
    pub attempt: u32,
    pub previous: Option<u64>,
    pub body: Bytes,
}

/// What a receiver does with a request.
#[derive(Debug, Clone)]
pub enum React {
    /// Answers with this status.
    Answer(u16),
    /// Answers with this status, a header and a body.
    With(u16, &'static str, &'static str, &'static str),
    /// Never answers, as long as it lives.
    Hang,
    /// Closes the connection instead of answering.
    Break,
}

type Behaviour = Arc<dyn Fn(&Delivery) -> React + Send + Sync>;

struct State {
    behaviour: Mutex<Behaviour>,
    got: watch::Sender<Vec<Delivery>>,
}

pub struct Receiver {
    pub url: String,
    state: Arc<State>,
    task: Option<JoinHandle<()>>,
    port: u16,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.iter().for_each(JoinHandle::abort);
    }
}

impl Receiver {
    pub async fn start(behaviour: impl Fn(&Delivery) -> React + Send + Sync + 'static) -> Self {
        let state = Arc::new(State { behaviour: Mutex::new(Arc::new(behaviour)), got: watch::Sender::default() });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let task = Some(tokio::spawn(accept(listener, state.clone())));
        Self { url: format!("http://127.0.0.1:{port}/hook"), state, task, port }
    }

    /// One that takes everything.
    pub async fn healthy() -> Self {
        Self::start(|_| React::Answer(200)).await
    }

    /// From now on it reacts like this.
    pub fn react(&self, behaviour: impl Fn(&Delivery) -> React + Send + Sync + 'static) {
        *self.state.behaviour.lock() = Arc::new(behaviour);
    }

    /// From now on nobody listens; connections that are open break.
    pub async fn go_down(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
            let _aborted = task.await;
        }
    }

    /// It listens again, at the same address.
    pub async fn come_back(&mut self) {
        let listener = loop {
            match TcpListener::bind(("127.0.0.1", self.port)).await {
                Ok(listener) => break listener,
                Err(_) => tokio::task::yield_now().await,
            }
        };
        self.task = Some(tokio::spawn(accept(listener, self.state.clone())));
    }

    /// All that it got so far, in order of arrival.
    pub fn got(&self) -> Vec<Delivery> {
        self.state.got.borrow().clone()
    }

    /// Waits until what it got is as wanted.
    pub async fn until(&self, what: &str, wanted: impl FnMut(&Vec<Delivery>) -> bool) -> Vec<Delivery> {
        let mut got = self.state.got.subscribe();
        match timeout(PATIENCE, got.wait_for(wanted)).await {
            Ok(got) => got.unwrap().clone(),
            Err(_) => panic!("waited in vain for {what}; got {:?}", summary(&self.got())),
        }
    }

    /// Waits until it got so many requests.
    pub async fn count(&self, count: usize) -> Vec<Delivery> {
        self.until(&format!("{count} requests"), |got| got.len() >= count).await
    }

    /// Waits until it got each of these sequences at least once.
    pub async fn all(&self, sequences: impl IntoIterator<Item = u64>) -> Vec<Delivery> {
        let wanted: Vec<u64> = sequences.into_iter().collect();
        let have = |got: &Vec<Delivery>| wanted.iter().all(|sequence| got.iter().any(|one| one.sequence == *sequence));
        self.until("every sequence", have).await
    }
}

/// What came, as sequence and attempt.
pub fn summary(got: &[Delivery]) -> Vec<(u64, u32)> {
    got.iter().map(|delivery| (delivery.sequence, delivery.attempt)).collect()
}

/// The sequences of what came, in order of arrival.
pub fn order(got: &[Delivery]) -> Vec<u64> {
    got.iter().map(|delivery| delivery.sequence).collect()
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    // Its connections end with it.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(serve(stream, state.clone()));
    }
}

async fn serve(stream: TcpStream, state: Arc<State>) {
    let service = hyper::service::service_fn(move |request| answer(request, state.clone()));
    let _broken = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(request: Request<Incoming>, state: Arc<State>) -> Result<Response<Full<Bytes>>, std::io::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
    let headers: BTreeMap<String, String> = head
        .headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), value.to_str().unwrap().to_owned()))
        .collect();
    let number = |name: &str| headers.get(name).map(|value| value.parse::<u64>().unwrap());
    let delivery = Delivery {
        sequence: number("tidings-sequence").unwrap(),
        attempt: u32::try_from(number("tidings-attempt").unwrap()).unwrap(),
        previous: number("tidings-previous"),
        body,
        headers,
    };
    let behaviour = state.behaviour.lock().clone();
    let reaction = behaviour(&delivery);
    state.got.send_modify(|got| got.push(delivery));
    let respond = |status: u16, body: &'static str| {
        Response::builder().status(status).body(Full::new(Bytes::from_static(body.as_bytes()))).unwrap()
    };
    match reaction {
        React::Answer(status) => Ok(respond(status, "")),
        React::With(status, name, value, body) => {
            let mut response = respond(status, body);
            response.headers_mut().insert(name, value.parse().unwrap());
            Ok(response)
        }
        React::Hang => std::future::pending::<Result<Infallible, std::io::Error>>().await.map(|never| match never {}),
        React::Break => Err(std::io::Error::other("as the test asked")),
    }
}
