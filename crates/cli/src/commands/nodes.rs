//! `tidings nodes`: who runs, and who owns what.

use serde_json::Value;

use super::list::text;
use crate::args::Client;
use crate::context::{Context, run_until_interrupted};
use crate::failure::Failure;
use crate::term::{note, say_json, say_table, table};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
A node is listed as long as its heartbeat is younger than the lease. Partitions and sources are spread evenly over \
the nodes that take them; what is in the last line has no owner at the moment.

Examples:
  tidings nodes
  tidings nodes --json")]
pub(crate) struct NodesArgs {
    #[command(flatten)]
    client: Client,
}

pub(crate) fn run(context: &Context, args: &NodesArgs) -> Result<(), Failure> {
    let voice = context.voice;
    let api = context.api(&args.client)?;
    let answer = run_until_interrupted(async { Ok(api.get("/v1/nodes").await?) })?;
    if voice.json {
        return say_json(voice, &answer);
    }
    let mut rows = table(&["node", "roles", "routes", "publishes", "pumps", "address", "version", "since", "seen"]);
    for node in answer.pointer("/data").and_then(Value::as_array).into_iter().flatten() {
        let here = if node.pointer("/this") == Some(&Value::Bool(true)) { " (answers)" } else { "" };
        let owned = |role| slots(node.pointer("/leases"), role);
        rows.add_row([
            format!("{}{here}", text(node, "/id")),
            text(node, "/roles"),
            owned("router"),
            owned("publisher"),
            owned("pump"),
            text(node, "/address"),
            text(node, "/version"),
            text(node, "/started_at"),
            text(node, "/seen_at"),
        ]);
    }
    say_table(&rows)?;
    for role in ["router", "pump"] {
        let free = slots(answer.pointer("/free"), role);
        if free != "-" {
            note(format!("without a {role}: {free}"));
        }
    }
    Ok(())
}

/// The slots of a role among leases; neighbours in ranges.
fn slots(leases: Option<&Value>, role: &str) -> String {
    let of_role = leases
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter(|lease| lease.pointer("/role").and_then(Value::as_str) == Some(role));
    let names: Vec<String> = of_role.map(|lease| text(lease, "/slot")).collect();
    if names.is_empty() { "-".to_owned() } else { ranges(&names) }
}

/// `0, 1, 2, 5` as `0–2, 5`.
fn ranges(names: &[String]) -> String {
    let mut parts: Vec<(String, String)> = Vec::new();
    for name in names {
        let number: Option<u64> = name.parse().ok();
        match parts.last_mut() {
            Some((_, last)) if number.is_some_and(|number| last.parse() == Ok(number.wrapping_sub(1))) => {
                last.clone_from(name);
            }
            _ => parts.push((name.clone(), name.clone())),
        }
    }
    let shown = parts.into_iter().map(|(first, last)| if first == last { first } else { format!("{first}–{last}") });
    shown.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_told_as_ranges() {
        let told = |names: &[&str]| ranges(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        assert_eq!(told(&["0", "1", "2", "5", "9", "10"]), "0–2, 5, 9–10");
        assert_eq!(told(&["platform", "shop"]), "platform, shop");
        assert_eq!(told(&[]), "");
    }
}
