//! The log's databases beside its home: `[[shard]]` tables, or one text for the environment.

use std::collections::BTreeSet;

use tidings_store::sharded::ShardOptions;

use super::check;

/// Partitions that one range may name; no log has more.
const PARTITIONS_MAX: u32 = 1_024;
/// What follows the ranges of a shard that takes no new tenants.
const CLOSED: &str = ":closed";

/// Shards as the environment gives them: `name:16-31=url`, with commas between; more ranges with `+`, and `:closed`
/// after them where no new tenants are taken. A comma parts two shards only where `name:…=` follows, as URLs hold
/// commas.
pub(crate) fn shards(text: &str) -> Result<Vec<ShardOptions>, String> {
    let mut pieces: Vec<String> = Vec::new();
    for piece in text.split(',') {
        let begins = piece.split_once('=').is_some_and(|(head, _)| head.contains(':') && !head.contains('/'));
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
        let (head, url) = piece.split_once('=').ok_or("each shard is name:partitions=url")?;
        let (name, rest) = head.split_once(':').ok_or("each shard is name:partitions=url")?;
        let (range, takes_tenants) = match rest.strip_suffix(CLOSED) {
            Some(range) => (range, false),
            None => (rest, true),
        };
        shard(name.trim(), url.trim(), range, takes_tenants)
    });
    let found = found.collect::<Result<Vec<_>, String>>()?;
    let mut names = BTreeSet::new();
    match found.iter().find(|shard| !names.insert(&shard.name)) {
        Some(twice) => Err(format!("two shards are named '{}'", twice.name)),
        None => Ok(found),
    }
}

/// The text of `[[shard]]` tables.
pub(super) fn text_of(value: &toml::Value) -> Result<String, String> {
    let tables = value.as_array().ok_or("write [[shard]] with two brackets, once for each shard")?;
    let each = tables.iter().map(|table| {
        let table = table.as_table().ok_or("must be a table with name, url and partitions")?;
        let known = ["name", "url", "partitions", "tenants"];
        if let Some(strange) = table.keys().find(|key| !known.contains(&key.as_str())) {
            return Err(format!("'{strange}' is not known: {}", known.join(", ")));
        }
        let field = |name: &str| table.get(name).and_then(toml::Value::as_str).ok_or(format!("{name} is missing"));
        let takes = match table.get("tenants") {
            None => true,
            Some(takes) => takes.as_bool().ok_or("tenants must be true or false")?,
        };
        let range = field("partitions")?.replace([',', ' '], "+");
        let range = range.split('+').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("+");
        let closed = if takes { "" } else { CLOSED };
        let text = format!("{}:{range}{closed}={}", field("name")?, field("url")?);
        shards(&text).map(|_| text)
    });
    Ok(each.collect::<Result<Vec<_>, String>>()?.join(","))
}

fn shard(name: &str, url: &str, range: &str, takes_tenants: bool) -> Result<ShardOptions, String> {
    check::source_name(name)
        .map_err(|_| format!("'{name}' is not a shard's name: lower case letters, digits, - and _"))?;
    check::database(url).map_err(|reason| format!("shard '{name}': {reason}"))?;
    if !url.starts_with("postgres") {
        return Err(format!("shard '{name}': a shard is a PostgreSQL database"));
    }
    let partitions = partitions(range).map_err(|reason| format!("shard '{name}': {reason}"))?;
    Ok(ShardOptions { name: name.to_owned(), url: url.to_owned(), partitions, takes_tenants })
}

fn partitions(text: &str) -> Result<BTreeSet<u32>, String> {
    let mut all = BTreeSet::new();
    for range in text.split('+').map(str::trim).filter(|range| !range.is_empty()) {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let bounds = first.trim().parse::<u32>().ok().zip(last.trim().parse::<u32>().ok());
        match bounds {
            Some((first, last)) if first <= last && last < PARTITIONS_MAX => all.extend(first..=last),
            _ => return Err(format!("'{range}' is not a range of partitions like 16-31, below {PARTITIONS_MAX}")),
        }
    }
    if all.is_empty() { Err("it has no partitions".to_owned()) } else { Ok(all) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_come_as_text_or_as_tables() {
        let found = shards("b:16-18=postgres://a,b/d, c:19+21-22:closed=postgres://h/c?pooler=transaction").unwrap();
        let seen: Vec<_> = found
            .iter()
            .map(|one| {
                (one.name.as_str(), one.url.as_str(), one.partitions.iter().copied().collect(), one.takes_tenants)
            })
            .collect::<Vec<(&str, &str, Vec<u32>, bool)>>();
        assert_eq!(
            seen,
            [
                ("b", "postgres://a,b/d", vec![16, 17, 18], true),
                ("c", "postgres://h/c?pooler=transaction", vec![19, 21, 22], false)
            ]
        );
        let table: toml::Value = toml::from_str(
            "[[shard]]\nname = 'b'\nurl = 'postgres://h/b'\npartitions = '16-18, 20'\ntenants = false\n",
        )
        .unwrap();
        assert_eq!(text_of(&table["shard"]).unwrap(), "b:16-18+20:closed=postgres://h/b");
    }

    #[test]
    fn shards_that_make_no_sense_are_refused_with_the_reason() {
        for (text, expect) in [
            ("b", "name:partitions=url"),
            ("b=postgres://h/b", "name:partitions=url"),
            ("B:1-2=postgres://h/b", "not a shard's name"),
            ("b:1-2=sqlite:b.db", "a PostgreSQL database"),
            ("b:2-1=postgres://h/b", "'2-1' is not a range"),
            ("b:0-1024=postgres://h/b", "not a range"),
            ("b:=postgres://h/b", "has no partitions"),
            ("b:1=postgres://h/b,b:2=postgres://h/c", "two shards are named 'b'"),
        ] {
            let found = shards(text).unwrap_err();
            assert!(found.contains(expect), "{text}: {found}");
        }
    }
}
