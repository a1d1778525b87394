//! Which class a failure belongs to, and how it is put into words.

use std::error::Error;
use std::io::{self, ErrorKind};
use std::time::Duration;

use tidings_event::delivery::Failure;

use super::SendError;

pub(super) fn timeout(allowed: Duration) -> SendError {
    SendError::new(Failure::Timeout, format!("no whole answer within {} ms", allowed.as_millis()))
}

/// What became of a connection that was to be made.
pub(super) fn of_connect(error: &io::Error) -> SendError {
    match error.kind() {
        ErrorKind::ConnectionRefused => SendError::new(Failure::Refused, "the connection was refused"),
        ErrorKind::TimedOut => SendError::new(Failure::Timeout, "the connection was not accepted in time"),
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted => {
            SendError::new(Failure::Reset, "the connection broke while it was made")
        }
        kind => SendError::new(Failure::Refused, format!("no connection could be made: {kind}")),
    }
}

/// What became of an exchange over a connection.
pub(super) fn of_exchange(error: &hyper::Error) -> SendError {
    if let Some(io) = causes(error).find_map(|cause| cause.downcast_ref::<io::Error>()) {
        return match io.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(tls) => SendError::new(Failure::Tls, tls.to_string()),
            // What hyper says of chunks that are none.
            None if matches!(io.kind(), ErrorKind::InvalidInput | ErrorKind::InvalidData) => {
                SendError::new(Failure::Protocol, "the answer's body is not HTTP/1.1")
            }
            None => SendError::new(Failure::Reset, format!("the connection broke: {}", io.kind())),
        };
    }
    if error.is_parse_too_large() {
        SendError::new(Failure::Protocol, "the answer's headers are too large")
    } else if error.is_parse() {
        SendError::new(Failure::Protocol, "the answer is not HTTP/1.1")
    } else if error.is_incomplete_message() {
        SendError::new(Failure::Reset, "the connection was closed before the answer was whole")
    } else if error.is_canceled() || error.is_closed() {
        SendError::new(Failure::Reset, "the connection was closed before there was an answer")
    } else {
        SendError::new(Failure::Protocol, error.to_string())
    }
}

fn causes(error: &hyper::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(error.source(), |cause: &&(dyn Error + 'static)| (*cause).source())
}
