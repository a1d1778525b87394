//! Whether webhooks go out safely: where they may go, what their secrets are encrypted with, who delivers.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use ipnet::IpNet;

use super::Findings;
use crate::config::check::{master_key, ports, ranges, roles};
use crate::config::layer::Layers;
use crate::config::mask::mask_url;
use crate::datadir::{MASTER_KEY, NODE_ID};

/// Different bytes among the 32 of a master key: random ones have about 30; fewer than this were typed by hand.
const DISTINCT_BYTES_MIN: usize = 16;
/// Where clouds keep what their machines may know, credentials among it.
const METADATA: IpAddr = IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254));

/// Checks what can be seen without a server.
pub(super) fn check(findings: &mut Findings, layers: &Layers, dir: &Path) {
    way_out(findings, layers);
    secrets(findings, layers, dir);
    who(findings, layers, dir);
}

/// Where requests on somebody's word may go.
fn way_out(findings: &mut Findings, layers: &Layers) {
    let mut notes = Vec::new();
    let allowed = ranges(&layers.get("allow_cidrs").text).unwrap_or_default();
    for range in &allowed {
        if let Some(danger) = danger(range) {
            findings.warn("webhooks", format!("allow_cidrs holds {range}: {danger}"));
        }
    }
    notes.push(match allowed.len() {
        0 => "to public addresses only".to_owned(),
        _ => format!("to public addresses and {}", layers.get("allow_cidrs").shown()),
    });
    if layers.switch("allow_http") {
        findings.warn("webhooks", "allow_http: who listens on the way reads events that go out by plain http");
    } else {
        notes.push("https only".to_owned());
    }
    if !ports(&layers.get("allow_ports").text).unwrap_or_default().is_empty() {
        notes.push(format!("ports {}", layers.get("allow_ports").shown()));
    }
    if let Some(proxy) = layers.text("egress_proxy") {
        notes.push(format!("through {}", mask_url(proxy)));
    }
    findings.good("webhooks", notes.join(", "));
}

/// What someone who may create endpoints could do with a range.
fn danger(range: &IpNet) -> Option<&'static str> {
    let is_whole = range.prefix_len() == 0;
    let holds_loopback =
        range.contains(&IpAddr::V4(Ipv4Addr::LOCALHOST)) || range.contains(&IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1_u16]));
    if is_whole {
        Some("whoever may create endpoints reaches every address of your network")
    } else if range.contains(&METADATA) {
        Some("whoever may create endpoints reaches the cloud's metadata service, and with it credentials")
    } else if holds_loopback {
        Some("whoever may create endpoints reaches what listens on this machine for itself alone")
    } else {
        None
    }
}

/// What endpoints' secrets are encrypted with.
fn secrets(findings: &mut Findings, layers: &Layers, dir: &Path) {
    let given = layers.text("master_key").map(str::to_owned);
    let is_given = given.is_some();
    let Some(text) = given.or_else(|| std::fs::read_to_string(dir.join(MASTER_KEY)).ok()) else { return };
    let key = match master_key(&text) {
        Ok(key) => key,
        Err(reason) => return findings.bad("master key", reason),
    };
    let distinct = (0..=u8::MAX).filter(|byte| key.contains(byte)).count();
    let place = if is_given { "TIDINGS_MASTER_KEY" } else { "master.key" };
    if distinct < DISTINCT_BYTES_MIN || key.iter().all(u8::is_ascii_graphic) {
        findings.warn(
            "master key",
            format!("{place} does not look random, so that secrets of endpoints could be guessed; make one: openssl rand -base64 32"),
        );
    } else {
        findings.good("master key", format!("{place}; keep a copy, without it secrets of endpoints are lost"));
    }
}

/// Whether this process delivers, and under which name.
fn who(findings: &mut Findings, layers: &Layers, dir: &Path) {
    if !roles(&layers.get("roles").text).is_ok_and(|roles| roles.router) {
        return findings.good("router", "not on this node: TIDINGS_ROLES leaves it out");
    }
    let in_file = std::fs::read_to_string(dir.join(NODE_ID)).ok();
    let name = layers.text("node_id").map(str::to_owned).or(in_file.map(|text| text.trim().to_owned()));
    match name {
        Some(name) => findings.good("router", format!("on this node, as {name}")),
        None => findings.good("router", "on this node; the first start gives it a name"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_that_open_more_than_a_network_are_pointed_out() {
        let danger_of = |range: &str| danger(&range.parse().unwrap());
        assert!(danger_of("0.0.0.0/0").unwrap().contains("every address"));
        assert!(danger_of("::/0").unwrap().contains("every address"));
        assert!(danger_of("169.254.0.0/16").unwrap().contains("metadata"));
        assert!(danger_of("127.0.0.0/8").unwrap().contains("this machine"));
        assert!(danger_of("::1/128").unwrap().contains("this machine"));
        assert_eq!(danger_of("10.20.0.0/16"), None);
    }
}
