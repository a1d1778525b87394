//! Endpoints: what answers deliveries, well or badly, and remembers what it took.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use parking_lot::Mutex;
use tidings_engine::Peers;
use tidings_event::delivery::Failure;
use tokio::time::sleep;

use crate::dice::Dice;
use crate::place::Place;
use crate::plan::Plan;
use crate::universe::Excuse;

/// How an endpoint behaves for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// It takes everything at once.
    Healthy,
    /// It takes everything, late.
    Slow,
    /// Nobody listens.
    Dead,
    /// It takes requests and never answers.
    Hangs,
    /// It fails one request in so many.
    FailsOneIn(u64),
    /// It asks for patience.
    Throttles,
    /// It says that it is gone for good.
    Gone,
    /// It takes events and breaks the connection before it has answered.
    LosesAnswers,
}

/// A delivery that was taken.
#[derive(Debug, Clone)]
pub struct Taken {
    /// When, in microseconds.
    pub at_us: u64,
    pub sequence: u64,
    pub id: String,
    pub number: u64,
    /// When the node that sent it last woke from a pause.
    pub woke_us: u64,
}

/// A request that was made.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    /// When, in microseconds.
    pub at_us: u64,
    pub sequence: u64,
    /// It was answered with a success.
    pub well: bool,
}

/// All that endpoints of one simulation are.
pub struct Receivers {
    /// For each host, until when it is in which mood; healthy behind the last.
    moods: Vec<Vec<(u64, Mood)>>,
    taken: Mutex<BTreeMap<String, Vec<Taken>>>,
    asked: Mutex<BTreeMap<String, Vec<Asked>>>,
    dice: Mutex<Dice>,
}

impl Receivers {
    pub fn of(plan: &Plan, dice: &mut Dice) -> Arc<Self> {
        let moods = (0..plan.endpoints).map(|_| moods(plan, dice)).collect();
        Arc::new(Self { moods, taken: Mutex::default(), asked: Mutex::default(), dice: Mutex::new(dice.fork()) })
    }

    /// What was taken at a URL, in order of arrival.
    pub fn taken<T>(&self, url: &str, look: impl FnOnce(&[Taken]) -> T) -> T {
        look(self.taken.lock().get(url).map_or(&[], Vec::as_slice))
    }

    /// What was asked of a URL, in the order in which it began.
    pub fn asked<T>(&self, url: &str, look: impl FnOnce(&[Asked]) -> T) -> T {
        look(self.asked.lock().get(url).map_or(&[], Vec::as_slice))
    }

    /// Deliveries that were taken, in all.
    pub fn taken_in_all(&self) -> u64 {
        self.taken.lock().values().map(|taken| taken.len() as u64).sum()
    }

    /// A request begins. Returns its place.
    fn ask(&self, url: &str, at_us: u64, sequence: Option<&str>) -> usize {
        let sequence = sequence.and_then(|text| text.parse().ok()).unwrap_or_default();
        let mut asked = self.asked.lock();
        let asked = asked.entry(url.to_owned()).or_default();
        asked.push(Asked { at_us, sequence, well: false });
        asked.len() - 1
    }

    fn answered(&self, url: &str, at: usize) {
        if let Some(asked) = self.asked.lock().get_mut(url).and_then(|asked| asked.get_mut(at)) {
            asked.well = true;
        }
    }

    fn mood(&self, host: usize, now_us: u64) -> Mood {
        let moods = self.moods.get(host).map_or(&[][..], Vec::as_slice);
        moods.iter().find(|(until, _)| now_us < *until).map_or(Mood::Healthy, |(_, mood)| *mood)
    }
}

fn moods(plan: &Plan, dice: &mut Dice) -> Vec<(u64, Mood)> {
    let mut moods = Vec::new();
    let mut at = 0;
    while at < plan.active_us {
        at += dice.within(200_000, 6_000_000);
        let mood = if dice.chance(plan.chaos.endpoints_ill) {
            match dice.below(20) {
                0..4 => Mood::Slow,
                4..8 => Mood::Dead,
                8..10 => Mood::Hangs,
                10..14 => Mood::FailsOneIn(dice.within(2, 8)),
                14..16 => Mood::Throttles,
                16 => Mood::Gone,
                _ => Mood::LosesAnswers,
            }
        } else {
            Mood::Healthy
        };
        moods.push((at, mood));
    }
    moods
}

/// The network as one node sees it.
pub struct NodePeers {
    pub receivers: Arc<Receivers>,
    pub place: Arc<Place>,
}

#[async_trait]
impl Peers for NodePeers {
    async fn exchange(&self, request: Request<Bytes>) -> Result<Response<Bytes>, Failure> {
        let (place, receivers) = (&self.place, &self.receivers);
        let url = request.uri().to_string();
        let host = request.uri().host().and_then(|host| host.strip_prefix('h')?.strip_suffix(".sim")?.parse().ok());
        let mood = match host {
            Some(host) if place.universe.is_faulty() => receivers.mood(host, place.now_us()),
            _ => Mood::Healthy,
        };
        let (there, back, number) = {
            let mut dice = receivers.dice.lock();
            let longest = if mood == Mood::Slow { 3_000 } else { 6 };
            (dice.below(longest), dice.below(longest), dice.number())
        };
        let asked = receivers.ask(&url, place.now_us(), header(&request, "tidings-sequence"));
        if there + back > 100 {
            self.fault("endpoint_slow", &url);
        }
        sleep(Duration::from_millis(there)).await;
        match mood {
            Mood::Dead => {
                self.fault("endpoint_dead", &url);
                return Err(Failure::Refused);
            }
            Mood::Hangs => {
                self.fault("endpoint_hangs", &url);
                return std::future::pending().await;
            }
            Mood::FailsOneIn(many) if number % many == 0 => {
                self.fault("endpoint_fails", &url);
                return Ok(answer(StatusCode::SERVICE_UNAVAILABLE));
            }
            Mood::Throttles => {
                self.fault("endpoint_throttles", &url);
                let mut answer = answer(StatusCode::TOO_MANY_REQUESTS);
                answer.headers_mut().insert(http::header::RETRY_AFTER, http::HeaderValue::from_static("1"));
                return Ok(answer);
            }
            Mood::Gone => {
                self.fault("endpoint_gone", &url);
                return Ok(answer(StatusCode::GONE));
            }
            Mood::Healthy | Mood::Slow | Mood::FailsOneIn(_) | Mood::LosesAnswers => {}
        }
        self.take(&url, &request);
        sleep(Duration::from_millis(back)).await;
        if mood == Mood::LosesAnswers && number % 3 == 0 {
            self.fault("endpoint_answer_lost", &url);
            return Err(Failure::Reset);
        }
        receivers.answered(&url, asked);
        Ok(answer(StatusCode::OK))
    }
}

impl NodePeers {
    /// A URL misbehaves, and may be sent again what it was sent.
    fn fault(&self, kind: &'static str, url: &str) {
        self.place.fault(kind, format_args!("{url}"));
        self.place.universe.excuses(self.place.now_us(), Excuse::Url(url.to_owned()));
    }

    fn take(&self, url: &str, request: &Request<Bytes>) {
        let place = &self.place;
        let header = |name: &str| header(request, name);
        let body: serde_json::Value = serde_json::from_slice(request.body()).unwrap_or_default();
        let (id, sequence) = (body["id"].as_str().unwrap_or_default(), body["sequence"].as_u64().unwrap_or_default());
        let told = header("tidings-sequence").and_then(|text| text.parse().ok());
        if told != Some(sequence) || header("webhook-id") != Some(id) {
            place.universe.breaks(format_args!("a delivery's headers speak of another event than its body: {id}"));
        }
        place.trace(format_args!("delivered {sequence} {id} to {url}, attempt {:?}", header("tidings-attempt")));
        let taken = Taken {
            at_us: place.now_us(),
            sequence,
            id: id.to_owned(),
            number: body["data"]["n"].as_u64().unwrap_or_default(),
            woke_us: place.woke_us.load(Ordering::Relaxed),
        };
        self.receivers.taken.lock().entry(url.to_owned()).or_default().push(taken);
    }
}

fn header<'a>(request: &'a Request<Bytes>, name: &str) -> Option<&'a str> {
    request.headers().get(name).and_then(|value| value.to_str().ok())
}

fn answer(status: StatusCode) -> Response<Bytes> {
    let mut answer = Response::new(Bytes::new());
    *answer.status_mut() = status;
    answer
}
