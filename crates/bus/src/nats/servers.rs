//! Which servers, and who we are to them. Secrets are taken out of the URLs at once, so that no URL that is logged or
//! shown holds one.

use async_nats::{ConnectOptions, ServerAddr};
use percent_encoding::percent_decode_str;
use url::Url;

/// Servers that are one broker.
#[derive(Clone)]
pub struct Servers {
    addresses: Vec<ServerAddr>,
    /// The same for people.
    shown: String,
    sign_in: SignIn,
}

#[derive(Clone, PartialEq, Eq)]
enum SignIn {
    Anonymous,
    Token(String),
    Password { user: String, password: String },
}

/// Why URLs cannot be used. Never tells what they say, since they may hold secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ServersError {
    /// There is none.
    #[error("must name at least one server, like nats://127.0.0.1:4222")]
    None,
    /// One of them is no URL of a NATS server.
    #[error("must be URLs of NATS servers, separated by commas: nats://host:4222 or tls://host:4222")]
    Malformed,
    /// One has a path, a query or a fragment.
    #[error("must be URLs of NATS servers without a path, a query or a fragment")]
    Surplus,
    /// They sign in differently.
    #[error("the servers must all take the same user and password, or token")]
    Differing,
}

impl Servers {
    /// Reads URLs, separated by commas: `nats://host:4222`, `tls://user:password@host:4222`, `nats://token@host`. Those
    /// without user or token are signed in to like the others.
    pub fn parse(text: &str) -> Result<Self, ServersError> {
        let mut servers = Self { addresses: Vec::new(), shown: String::new(), sign_in: SignIn::Anonymous };
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            servers.add(part)?;
        }
        if servers.addresses.is_empty() { Err(ServersError::None) } else { Ok(servers) }
    }

    fn add(&mut self, text: &str) -> Result<(), ServersError> {
        let malformed = |_| ServersError::Malformed;
        let text = if text.contains("://") { text.to_owned() } else { format!("nats://{text}") };
        let mut url = Url::parse(&text).map_err(|_| ServersError::Malformed)?;
        if !matches!(url.scheme(), "nats" | "tls") || url.host_str().is_none_or(str::is_empty) {
            return Err(ServersError::Malformed);
        }
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err(ServersError::Surplus);
        }
        let decoded = |text: &str| {
            percent_decode_str(text).decode_utf8().map(|text| text.into_owned()).map_err(|_| ServersError::Malformed)
        };
        let sign_in = match (url.username(), url.password()) {
            ("", None) => SignIn::Anonymous,
            ("", Some(_)) => return Err(ServersError::Malformed),
            (token, None) => SignIn::Token(decoded(token)?),
            (user, Some(password)) => SignIn::Password { user: decoded(user)?, password: decoded(password)? },
        };
        if sign_in != SignIn::Anonymous {
            if self.sign_in != SignIn::Anonymous && self.sign_in != sign_in {
                return Err(ServersError::Differing);
            }
            self.sign_in = sign_in;
        }
        url.set_username("").map_err(malformed)?;
        url.set_password(None).map_err(malformed)?;
        url.set_path("");
        if !self.shown.is_empty() {
            self.shown.push(',');
        }
        self.shown.push_str(url.as_str());
        self.addresses.push(ServerAddr::from_url(url).map_err(|_| ServersError::Malformed)?);
        Ok(())
    }

    /// The addresses, without anything secret.
    pub(super) fn addresses(&self) -> Vec<ServerAddr> {
        self.addresses.clone()
    }

    /// Adds who we are.
    pub(super) fn sign_in(&self, options: ConnectOptions) -> ConnectOptions {
        match &self.sign_in {
            SignIn::Anonymous => options,
            SignIn::Token(token) => options.token(token.clone()),
            SignIn::Password { user, password } => options.user_and_password(user.clone(), password.clone()),
        }
    }
}

impl std::fmt::Display for Servers {
    /// The addresses, without anything secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown)
    }
}

impl std::fmt::Debug for Servers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Servers({})", self.shown)
    }
}

/// Signs in with the contents of a file: a JWT with its seed, or the seed of an nkey alone.
pub(super) fn credentials(options: ConnectOptions, text: &str) -> std::io::Result<ConnectOptions> {
    let seed = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
    match seed {
        Some(seed) if seed.starts_with("SU") => Ok(options.nkey(seed.to_owned())),
        Some(_) => options.credentials(text),
        None => Err(std::io::Error::other("it is empty")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_read_and_their_secrets_are_never_shown() {
        for (text, shown, signed_in) in [
            ("nats://127.0.0.1:4222", "nats://127.0.0.1:4222", SignIn::Anonymous),
            ("localhost", "nats://localhost", SignIn::Anonymous),
            ("tls://t%2Fk@a:1/", "tls://a:1", SignIn::Token("t/k".to_owned())),
            (
                "nats://u:p%40ss@a:1, nats://b:2 ,tls://[::1]:3,",
                "nats://a:1,nats://b:2,tls://[::1]:3",
                SignIn::Password { user: "u".to_owned(), password: "p@ss".to_owned() },
            ),
        ] {
            let servers = Servers::parse(text).unwrap();
            assert_eq!((servers.to_string(), servers.sign_in == signed_in), (shown.to_owned(), true), "{text}");
            let all = format!("{servers:?} {:?}", servers.addresses());
            assert!(!all.contains("p@ss") && !all.contains("p%40ss") && !all.contains("t%2Fk"), "{all}");
        }
    }

    #[test]
    fn nonsense_is_refused_without_repeating_it() {
        for (text, error) in [
            ("", ServersError::None),
            (" , ", ServersError::None),
            ("http://a:1", ServersError::Malformed),
            ("ws://a:1", ServersError::Malformed),
            ("nats://", ServersError::Malformed),
            ("nats://a:secret", ServersError::Malformed),
            ("nats://:p@a", ServersError::Malformed),
            ("nats://a/x", ServersError::Surplus),
            ("nats://a?x=1", ServersError::Surplus),
            ("nats://u:p@a,nats://u:q@b", ServersError::Differing),
        ] {
            assert_eq!(Servers::parse(text).err(), Some(error), "{text}");
        }
    }
}
