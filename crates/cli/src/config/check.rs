//! Whether a value is one that its setting can take. All checks, in one place.

use std::net::ToSocketAddrs as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ipnet::IpNet;
use tidings_bus::Prefix;
use tidings_bus::nats::Servers;
use tidings_engine::Roles;
use tidings_event::Text;

use super::setting::{Kind, ROLES, Setting};

/// The shortest admin key that is taken.
pub(crate) const ADMIN_KEY_CHARS_MIN: usize = 32;

/// A producer's database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SourceSetting {
    /// Its name: lower case letters, digits, `-` and `_`.
    pub(crate) name: String,
    /// Where it is.
    pub(crate) url: String,
    /// The service that it belongs to, if it is one's.
    pub(crate) service: Option<Text>,
}

/// Says what is wrong with a value, without repeating a secret.
pub(crate) fn check(setting: &Setting, text: &str) -> Result<(), String> {
    match setting.kind {
        Kind::Text => Ok(()),
        Kind::Path => {
            if text.is_empty() {
                Err("must not be empty".to_owned())
            } else {
                Ok(())
            }
        }
        Kind::Address => address(text),
        Kind::Database => database(text),
        Kind::Server => server(text),
        Kind::AdminKey => admin_key(text),
        Kind::MasterKey => master_key(text).map(drop),
        Kind::ApiKey => visible(text),
        Kind::OneOf(words) => one_of(words, text),
        Kind::Roles => roles(text).map(drop),
        Kind::Integer(min, max) => integer(min, max, text).map(drop),
        Kind::Switch => switch(text).map(drop),
        Kind::Ranges => ranges(text).map(drop),
        Kind::Ports => ports(text).map(drop),
        Kind::Proxy => proxy(text).map(drop),
        Kind::Node => node(text),
        Kind::Share => share(text),
        Kind::SecretPairs => Ok(()),
        Kind::Sources => sources(text).map(drop),
        Kind::Shards => super::shards::shards(text).map(drop),
        Kind::Nats => Servers::parse(text).map(drop).map_err(|error| error.to_string()),
        Kind::Prefix => Prefix::parse(text).map(drop).map_err(|error| format!("'{text}' {error}")),
    }
}

fn share(text: &str) -> Result<(), String> {
    match text.trim().parse::<f64>() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(()),
        _ => Err(format!("'{text}' is not a number from 0 to 1")),
    }
}

/// The items of a list with commas between.
pub(crate) fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

fn address(text: &str) -> Result<(), String> {
    let shape = || format!("'{text}' is not an address like 127.0.0.1:7411");
    let (host, port) = text.rsplit_once(':').ok_or_else(shape)?;
    if host.is_empty() || port.parse::<u16>().is_err() {
        return Err(shape());
    }
    // A literal address is checked whole; a name is looked up only when it is used.
    let literal = host.starts_with('[') || host.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if literal && text.to_socket_addrs().is_err() { Err(shape()) } else { Ok(()) }
}

pub(super) fn database(text: &str) -> Result<(), String> {
    match text.split_once(':').map(|(scheme, _)| scheme) {
        _ if text.is_empty() => Err("must not be empty".to_owned()),
        Some("postgres" | "postgresql") => match url::Url::parse(text) {
            Ok(url) if url.path().len() > 1 || url.query().is_some_and(|query| query.contains("dbname=")) => Ok(()),
            Ok(_) => Err("the URL names no database: postgres://user@host:5432/database".to_owned()),
            // Several hosts are fine for PostgreSQL and not for the URL standard.
            Err(_) if text.contains(',') => Ok(()),
            Err(error) => Err(format!("not a URL: {error}")),
        },
        Some("sqlite") | None => Ok(()),
        Some("mysql" | "mariadb" | "mssql" | "sqlserver" | "oracle" | "mongodb" | "http" | "https") => {
            Err("only SQLite (sqlite:path, or a path) and PostgreSQL (postgres://…) can be used".to_owned())
        }
        Some(_) if text.starts_with('/') || text.starts_with('.') => Ok(()),
        Some(scheme) => Err(format!("'{scheme}:' is not known; use sqlite:path, a path, or postgres://…")),
    }
}

fn server(text: &str) -> Result<(), String> {
    let url = url::Url::parse(text).map_err(|error| format!("not a URL: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("must begin with http:// or https://".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("must not hold a query or a fragment".to_owned());
    }
    Ok(())
}

/// The roles of a process.
pub(crate) fn roles(text: &str) -> Result<Roles, String> {
    list(text).try_for_each(|word| one_of(ROLES, word))?;
    let has = |role: &str| list(text).any(|word| word == role || word == "all");
    let roles = Roles { api: has("api"), pump: has("pump"), router: has("router"), publisher: has("publisher") };
    let none = Roles { api: false, pump: false, router: false, publisher: false };
    if roles == none { Err(format!("must hold at least one of {}", ROLES.join(", "))) } else { Ok(roles) }
}

fn visible(text: &str) -> Result<(), String> {
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic()) {
        Ok(())
    } else {
        Err("must be visible ASCII characters without spaces".to_owned())
    }
}

fn admin_key(text: &str) -> Result<(), String> {
    visible(text)?;
    match text.len() {
        length if length < ADMIN_KEY_CHARS_MIN => {
            Err(format!("must have at least {ADMIN_KEY_CHARS_MIN} characters, has {length}"))
        }
        _ => Ok(()),
    }
}

/// The 32 bytes of a master key.
pub(crate) fn master_key(text: &str) -> Result<[u8; 32], String> {
    let bytes = STANDARD.decode(text.trim()).map_err(|_| "must be base64 (make one: openssl rand -base64 32)")?;
    let length = bytes.len();
    bytes.try_into().map_err(|_| format!("must be 32 bytes in base64, is {length} (make one: openssl rand -base64 32)"))
}

fn one_of(words: &[&str], text: &str) -> Result<(), String> {
    if words.contains(&text) { Ok(()) } else { Err(format!("'{text}' is none of {}", words.join(", "))) }
}

/// A whole number within bounds.
pub(crate) fn integer(min: u64, max: u64, text: &str) -> Result<u64, String> {
    match text.trim().parse::<u64>() {
        Ok(number) if (min..=max).contains(&number) => Ok(number),
        Ok(number) => Err(format!("{number} is not within {min} and {max}")),
        Err(_) => Err(format!("'{text}' is not a whole number")),
    }
}

/// A switch's position.
pub(crate) fn switch(text: &str) -> Result<bool, String> {
    match text.trim() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err(format!("'{text}' is neither true nor false")),
    }
}

/// Address ranges; a single address is a range of its own.
pub(crate) fn ranges(text: &str) -> Result<Vec<IpNet>, String> {
    list(text)
        .map(|item| {
            let range = item.parse::<IpNet>().or_else(|_| item.parse::<std::net::IpAddr>().map(IpNet::from));
            range.map_err(|_| format!("'{item}' is not an address range like 10.0.0.0/8"))
        })
        .collect()
}

/// Ports; at most as many as a person can have meant.
pub(crate) fn ports(text: &str) -> Result<Vec<u16>, String> {
    let found = list(text).map(|item| {
        let port = item.parse::<u16>().ok().filter(|port| *port > 0);
        port.ok_or_else(|| format!("'{item}' is not a port from 1 to 65535"))
    });
    found.collect()
}

/// A proxy's URL.
pub(crate) fn proxy(text: &str) -> Result<url::Url, String> {
    // What is wrong is not repeated: the URL may hold a password.
    let url = url::Url::parse(text).map_err(|error| format!("not a URL: {error}"))?;
    if !matches!(url.scheme(), "http" | "socks5") {
        return Err("must begin with http:// or socks5://".to_owned());
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err("the URL names no host".to_owned());
    }
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return Err("must hold nothing behind host and port".to_owned());
    }
    Ok(url)
}

/// Characters of a node's name at most.
const NODE_CHARS_MAX: usize = 63;

/// A node's name.
pub(crate) fn node(text: &str) -> Result<(), String> {
    let is_good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    if !text.is_empty() && text.len() <= NODE_CHARS_MAX && text.bytes().all(is_good) {
        Ok(())
    } else {
        Err(format!("must be letters, digits, '-', '_' and '.', at most {NODE_CHARS_MAX}"))
    }
}

/// Sources as the environment gives them. A comma parts two sources only where `name=` follows, as URLs hold commas.
pub(crate) fn sources(text: &str) -> Result<Vec<SourceSetting>, String> {
    let mut pieces: Vec<String> = Vec::new();
    for piece in text.split(',') {
        let begins = piece.split_once('=').is_some_and(|(name, _)| source_name(name.trim()).is_ok());
        match pieces.last_mut() {
            Some(last) if !begins => {
                last.push(',');
                last.push_str(piece);
            }
            _ => pieces.push(piece.to_owned()),
        }
    }
    let pieces = pieces.iter().map(|piece| piece.trim()).filter(|piece| !piece.is_empty());
    let found = pieces.map(|piece| {
        let (name, url) = piece.split_once('=').ok_or("each source is name=url")?;
        source(name.trim(), url.trim(), None)
    });
    distinct(found.collect::<Result<_, String>>()?)
}

/// One source.
pub(crate) fn source(name: &str, url: &str, service: Option<&str>) -> Result<SourceSetting, String> {
    source_name(name)?;
    let service = service.map(Text::parse).transpose();
    let service = service.map_err(|error| format!("source '{name}': its service {error}"))?;
    database(url).map_err(|reason| format!("source '{name}': {reason}"))?;
    Ok(SourceSetting { name: name.to_owned(), url: url.to_owned(), service })
}

/// Refuses two sources of one name.
pub(crate) fn distinct(sources: Vec<SourceSetting>) -> Result<Vec<SourceSetting>, String> {
    for (at, source) in sources.iter().enumerate() {
        if sources[..at].iter().any(|earlier| earlier.name == source.name) {
            return Err(format!("two sources are named '{}'", source.name));
        }
    }
    Ok(sources)
}

pub(super) fn source_name(name: &str) -> Result<(), String> {
    let shape = !name.is_empty()
        && name.len() <= 63
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_');
    match name {
        "platform" => Err("the name 'platform' belongs to Tidings' own outbox".to_owned()),
        _ if shape => Ok(()),
        _ => Err(format!("'{name}' is not a source name: lower case letters, digits, '-' and '_', at most 63")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(name: &str, text: &str, reason: &str) {
        let error = check(Setting::named(name), text).unwrap_err();
        assert!(error.contains(reason), "{name}={text}: {error}");
    }

    #[test]
    fn a_value_that_cannot_work_is_refused_with_the_reason() {
        refused("listen", "7411", "is not an address");
        refused("listen", "127.0.0.1:70000", "is not an address");
        refused("listen", "300.0.0.1:80", "is not an address");
        refused("database_url", "mysql://h/d", "only SQLite");
        refused("database_url", "postgres://host", "names no database");
        refused("nats_url", "http://localhost", "must be URLs of NATS servers");
        refused("nats_url", "nats://u:secret@a:1,nats://u:other@b:1", "the same user and password");
        refused("nats.prefix", "prod-tidings", "lower case letters");
        refused("nats.replicas", "6", "5");
        refused("roles", "api,writer", "'writer' is none of all, api, pump, router");
        refused("admin_key", "short", "at least 32 characters, has 5");
        refused("master_key", "c2hvcnQ=", "must be 32 bytes");
        refused("master_key", "***", "must be base64");
        refused("sources", "shop", "name=url");
        refused("sources", "platform=sqlite:a.db", "belongs to Tidings");
        refused("sources", "a=a.db,a=b.db", "two sources");
        refused("sources", "Shop=a.db", "not a source name");
        refused("allow_cidrs", "10.0.0.0/8,here", "'here' is not an address range");
        refused("allow_ports", "443,0", "'0' is not a port");
        refused("allow_ports", "https", "'https' is not a port");
        refused("egress_proxy", "https://proxy:3128", "must begin with http:// or socks5://");
        refused("egress_proxy", "proxy:3128", "must begin with");
        refused("egress_proxy", "http://proxy:3128/path", "nothing behind host and port");
        refused("node_id", "a b", "must be letters");
        refused("advertise", "10.0.0.1:7411", "not a URL");
        refused("allow_http", "maybe", "neither true nor false");
        refused("shutdown_s", "0", "not within 1 and 3600");
        refused("sqlite.synchronous", "off", "none of full, normal");
        refused("url", "localhost:7411", "http://");
        refused("key", "a b", "visible");
    }

    #[test]
    fn roles_are_what_they_say() {
        let none = Roles { api: false, pump: false, router: false, publisher: false };
        assert_eq!(roles("all"), Ok(Roles::default()));
        assert_eq!(roles("api"), Ok(Roles { api: true, ..none }));
        assert_eq!(roles("api, router"), Ok(Roles { api: true, router: true, ..none }));
        assert_eq!(roles("publisher,pump"), Ok(Roles { publisher: true, pump: true, ..none }));
        assert!(roles("").is_err() && roles(",").is_err() && roles("api,judge").is_err());
    }

    #[test]
    fn commas_inside_of_a_url_do_not_part_sources() {
        let found = sources("shop=postgres://a,b/shop, crm=sqlite:/var/crm.db").unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].url, "postgres://a,b/shop");
        assert_eq!(found[1].url, "sqlite:/var/crm.db");
    }
}
