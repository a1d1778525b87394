//! Secrets in what a person sees.

/// Stands for what is not shown.
pub(crate) const MASK: &str = "****";

/// The same text with every password of a database URL replaced: in its authority, in its query, and in the
/// `key=value` form that PostgreSQL takes as well.
pub(crate) fn mask_url(text: &str) -> String {
    let masked = mask_authority(text);
    ["password", "sslpassword", "passfile"].iter().fold(masked, |text, name| mask_parameter(&text, name))
}

fn mask_authority(text: &str) -> String {
    let Some(start) = text.find("://").map(|at| at + 3) else { return text.to_owned() };
    let end = text[start..].find(['/', '?', '#']).map_or(text.len(), |at| start + at);
    // The last '@', as an unescaped password may hold one; behind the authority none is looked for, unless a
    // password holds a '/' unescaped: then the masked part only grows.
    let Some(at) = text[start..end].rfind('@').or_else(|| text[start..].rfind('@')).map(|at| start + at) else {
        return text.to_owned();
    };
    match text[start..at].find(':') {
        Some(colon) => format!("{}:{MASK}{}", &text[..start + colon], &text[at..]),
        None => text.to_owned(),
    }
}

fn mask_parameter(text: &str, name: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    let pattern = format!("{name}=");
    while let Some(at) = rest.find(&pattern) {
        let begins = at == 0 || rest[..at].ends_with(['?', '&', ' ', ',']);
        let (before, value) = rest.split_at(at + pattern.len());
        masked.push_str(before);
        rest = value;
        if begins {
            let quoted = value.strip_prefix('\'').and_then(|inner| inner.find('\'')).map(|end| end + 2);
            let end = quoted.or_else(|| value.find(['&', ' '])).unwrap_or(value.len());
            masked.push_str(MASK);
            rest = &value[end..];
        }
    }
    masked + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_of_a_url_is_shown() {
        let cases = [
            ("postgres://u:geheim@h:5432/d", "postgres://u:****@h:5432/d"),
            ("postgres://u@h/d", "postgres://u@h/d"),
            ("postgres://h/d?user=u&password=geheim&x=1", "postgres://h/d?user=u&password=****&x=1"),
            ("postgres://u:ge@heim@h/d", "postgres://u:****@h/d"),
            ("postgres://u:ge/heim@h/d", "postgres://u:****@h/d"),
            ("host=h password='ge heim' user=u", "host=h password=**** user=u"),
            ("host=h password=geheim", "host=h password=****"),
            ("sqlite:/var/lib/tidings.db", "sqlite:/var/lib/tidings.db"),
            ("/var/lib/tidings.db", "/var/lib/tidings.db"),
        ];
        for (text, expected) in cases {
            assert_eq!(mask_url(text), expected);
            assert!(!mask_url(text).contains("heim"));
        }
    }
}
