//! A server that answers as a test says and keeps what it was asked.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::support::PATIENCE;

#[derive(Debug, Clone)]
pub struct Request {
    pub headers: HashMap<String, String>,
    pub body: String,
}

/// What a request is answered with, in full.
pub type Answer = dyn Fn(&Request) -> String + Send + Sync;

pub struct Receiver {
    pub url: String,
    pub requests: Arc<Mutex<Vec<Request>>>,
    count: watch::Receiver<usize>,
    task: JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub fn answer(status: u16, body: &str) -> String {
    format!("HTTP/1.1 {status} X\r\nx-answer: yes\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

impl Receiver {
    pub async fn start(answer: impl Fn(&Request) -> String + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let answer: Arc<Answer> = Arc::new(answer);
        let (told, count) = watch::channel(0);
        let told = Arc::new(told);
        let task = tokio::spawn({
            let requests = requests.clone();
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(serve(stream, requests.clone(), answer.clone(), told.clone()));
                }
            }
        });
        Self { url, requests, count, task }
    }

    /// Waits until so many requests have come.
    pub async fn received(&self, count: usize) {
        let mut told = self.count.clone();
        let come = timeout(PATIENCE, told.wait_for(|come| *come >= count)).await;
        assert!(come.is_ok(), "only these came: {:?}", self.requests.lock());
    }

    pub fn last(&self) -> Request {
        self.requests.lock().last().cloned().unwrap()
    }
}

async fn serve(
    mut stream: TcpStream,
    requests: Arc<Mutex<Vec<Request>>>,
    answer: Arc<Answer>,
    told: Arc<watch::Sender<usize>>,
) {
    let mut bytes = Vec::new();
    let (head, mut body) = loop {
        let mut piece = [0; 4_096];
        match stream.read(&mut piece).await {
            Ok(0) | Err(_) => return,
            Ok(count) => bytes.extend_from_slice(&piece[..count]),
        }
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break (String::from_utf8(bytes[..end].to_vec()).unwrap(), bytes[end + 4..].to_vec());
        }
    };
    let headers: HashMap<String, String> = head
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length: usize = headers.get("content-length").map_or(0, |text| text.parse().unwrap());
    let held = body.len();
    body.resize(length, 0);
    if stream.read_exact(&mut body[held..]).await.is_err() {
        return;
    }
    let request = Request { headers, body: String::from_utf8(body).unwrap() };
    let text = answer(&request);
    requests.lock().push(request);
    told.send_modify(|come| *come += 1);
    let _gone = stream.write_all(text.as_bytes()).await;
}
