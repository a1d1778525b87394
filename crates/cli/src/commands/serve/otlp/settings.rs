//! What is exported, and where to.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;
use tidings_engine::trace::Sampler;

use crate::config::layer::Layers;
use crate::config::mask::mask_url;
use crate::failure::Failure;

/// Where the protocol has traces, below a collector's base URL.
const TRACES_PATH: &str = "/v1/traces";

/// How traces are exported.
pub(super) struct Settings {
    /// The URL that spans are posted to.
    pub(super) endpoint: String,
    pub(super) headers: HeaderMap,
    pub(super) timeout: Duration,
    pub(super) sampler: Sampler,
    pub(super) sampler_name: String,
    /// What it is that speaks.
    pub(super) resource: Vec<(String, String)>,
}

impl Settings {
    /// Reads the settings. None where no collector is named, or where the environment switches the export off.
    pub(super) fn read(layers: &Layers) -> Result<Option<Self>, Failure> {
        let whole = layers.text("otlp.traces_endpoint").map(str::to_owned);
        let below = layers.text("otlp.endpoint").map(|base| format!("{}{TRACES_PATH}", base.trim_end_matches('/')));
        let Some(endpoint) = whole.or(below) else { return Ok(None) };
        if is_off(|name| std::env::var(name).ok()) {
            return Ok(None);
        }
        let wrong = |name: &str, reason: String| Failure::usage(format!("{name}: {reason}"));
        let headers = pairs(layers.text("otlp.headers").unwrap_or_default());
        let headers = headers.and_then(as_headers).map_err(|reason| wrong("otlp.headers", reason))?;
        let given = layers.text("otlp.resource_attributes").unwrap_or_default();
        let given = pairs(given).map_err(|reason| wrong("otlp.resource_attributes", reason))?;
        let sampler_name = layers.get("otlp.sampler").text.clone();
        Ok(Some(Self {
            endpoint,
            headers,
            timeout: Duration::from_millis(layers.number("otlp.timeout_ms")),
            sampler: sampler(&sampler_name, layers.text("otlp.sampler_arg")),
            sampler_name,
            resource: resource(given, layers.get("otlp.service_name").text.clone()),
        }))
    }

    /// The URL as a person may see it.
    pub(super) fn endpoint_shown(&self) -> String {
        mask_url(&self.endpoint)
    }
}

/// Whether OpenTelemetry's own variables switch the export off, or ask for a protocol that is not spoken here.
fn is_off(env: impl Fn(&str) -> Option<String>) -> bool {
    let is = |name: &str, word: &str| env(name).is_some_and(|value| value.trim().eq_ignore_ascii_case(word));
    if is("OTEL_SDK_DISABLED", "true") || is("OTEL_TRACES_EXPORTER", "none") {
        return true;
    }
    let protocol = env("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL").or_else(|| env("OTEL_EXPORTER_OTLP_PROTOCOL"));
    match protocol.as_deref().map(str::trim) {
        None | Some("" | "http/protobuf") => false,
        Some(other) => {
            tracing::warn!(protocol = other, "traces are not exported: only http/protobuf is spoken");
            true
        }
    }
}

/// The samplers of OpenTelemetry's specification.
fn sampler(name: &str, share: Option<&str>) -> Sampler {
    let share = share.and_then(|share| share.trim().parse().ok()).unwrap_or(1.0);
    let (parent_based, of) = match name.strip_prefix("parentbased_") {
        Some(of) => (true, of),
        None => (false, name),
    };
    let share = match of {
        "always_on" => 1.0,
        "always_off" => 0.0,
        _ => share,
    };
    Sampler { parent_based, share }
}

/// `key=value` with commas between; values are percent-encoded.
fn pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
    items
        .map(|item| {
            // The item itself is not repeated: it may be a secret.
            let (key, value) = item.split_once('=').ok_or("must be key=value, with commas between")?;
            let decoded = |text: &str| percent_decode_str(text.trim()).decode_utf8().map(String::from);
            let (Ok(key), Ok(value)) = (decoded(key), decoded(value)) else {
                return Err("holds something that is no UTF-8".to_owned());
            };
            if key.is_empty() { Err("holds a value without a key".to_owned()) } else { Ok((key, value)) }
        })
        .collect()
}

fn as_headers(pairs: Vec<(String, String)>) -> Result<HeaderMap, String> {
    let each = pairs.into_iter().map(|(name, value)| {
        let wrong = |_| format!("'{name}' cannot be sent as a header");
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(|error| wrong(error.to_string()))?;
        let mut value = HeaderValue::from_str(&value).map_err(|error| wrong(error.to_string()))?;
        value.set_sensitive(true);
        Ok((key, value))
    });
    each.collect()
}

/// What speaks: given attributes, the service's name above them, and what is known of the process.
fn resource(given: Vec<(String, String)>, service: String) -> Vec<(String, String)> {
    let mut resource = vec![("service.name".to_owned(), service)];
    let own = [
        ("service.version", env!("CARGO_PKG_VERSION")),
        ("telemetry.sdk.name", "tidings"),
        ("telemetry.sdk.language", "rust"),
    ];
    resource.extend(given.into_iter().filter(|(key, _)| key != "service.name"));
    for (key, value) in own {
        if resource.iter().all(|(known, _)| known != key) {
            resource.push((key.to_owned(), value.to_owned()));
        }
    }
    resource
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_samplers_of_the_specification_are_understood() {
        let check = |name: &str, share: Option<&str>, parent_based: bool, expect: f64| {
            assert_eq!(sampler(name, share), Sampler { parent_based, share: expect }, "{name}");
        };
        check("parentbased_always_off", None, true, 0.0);
        check("parentbased_always_on", None, true, 1.0);
        check("parentbased_traceidratio", Some("0.25"), true, 0.25);
        check("traceidratio", Some("0.25"), false, 0.25);
        check("traceidratio", None, false, 1.0);
        check("always_on", Some("0.25"), false, 1.0);
        check("always_off", None, false, 0.0);
    }

    #[test]
    fn pairs_are_decoded_and_mistakes_do_not_repeat_what_may_be_secret() {
        let read = pairs("authorization=Bearer%20geheim, x-a = b,").unwrap();
        let expect = [("authorization", "Bearer geheim"), ("x-a", "b")];
        assert!(read.iter().map(|(key, value)| (key.as_str(), value.as_str())).eq(expect));
        assert!(as_headers(read).unwrap()["authorization"].is_sensitive());
        for wrong in ["geheim", "=geheim", "a=%ff"] {
            let reason = pairs(wrong).unwrap_err();
            assert!(!reason.contains("geheim"), "{reason}");
        }
        assert!(
            as_headers(vec![("a b".to_owned(), "geheim".to_owned())]).is_err_and(|reason| !reason.contains("geheim"))
        );
    }

    #[test]
    fn the_environment_can_switch_the_export_off() {
        let env = |pairs: &'static [(&str, &str)]| {
            move |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        };
        assert!(!is_off(env(&[])));
        assert!(!is_off(env(&[("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")])));
        assert!(is_off(env(&[("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")])));
        assert!(is_off(env(&[("OTEL_SDK_DISABLED", "True")])));
        assert!(is_off(env(&[("OTEL_TRACES_EXPORTER", "none")])));
    }

    #[test]
    fn the_services_name_is_the_settings() {
        let given =
            vec![("service.name".to_owned(), "other".to_owned()), ("service.version".to_owned(), "9".to_owned())];
        let resource = resource(given, "mine".to_owned());
        let of =
            |key: &str| resource.iter().filter(|(known, _)| known == key).map(|(_, v)| v.as_str()).collect::<Vec<_>>();
        assert_eq!((of("service.name"), of("service.version")), (vec!["mine"], vec!["9"]));
    }
}
