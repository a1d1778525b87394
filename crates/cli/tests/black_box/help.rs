//! What `--help` says, for a person to judge.

use crate::support::{run, tidings};

const COMMANDS: &[&[&str]] = &[
    &[],
    &["serve"],
    &["demo"],
    &["emit"],
    &["tail"],
    &["events"],
    &["events", "search"],
    &["events", "get"],
    &["events", "trace"],
    &["tenants"],
    &["keys"],
    &["keys", "create"],
    &["outbox"],
    &["outbox", "install"],
    &["outbox", "refused"],
    &["outbox", "retry"],
    &["intents"],
    &["intents", "create"],
    &["endpoints"],
    &["endpoints", "create"],
    &["endpoints", "update"],
    &["endpoints", "rotate"],
    &["endpoints", "attempts"],
    &["endpoints", "explain"],
    &["endpoints", "replay"],
    &["endpoints", "replay", "start"],
    &["endpoints", "backtest"],
    &["dead-letters"],
    &["dead-letters", "list"],
    &["dead-letters", "redrive"],
    &["catalog"],
    &["catalog", "init"],
    &["catalog", "lint"],
    &["catalog", "check"],
    &["catalog", "diff"],
    &["catalog", "push"],
    &["catalog", "pull"],
    &["catalog", "infer"],
    &["catalog", "generate"],
    &["catalog", "docs"],
    &["catalog", "list"],
    &["catalog", "show"],
    &["catalog", "try"],
    &["catalog", "quarantine", "redrive"],
    &["listen"],
    &["verify-consumer"],
    &["doctor"],
    &["log"],
    &["log", "check"],
    &["log", "renew"],
    &["backup"],
    &["restore"],
    &["config"],
    &["config", "show"],
];

#[tokio::test]
async fn every_command_explains_itself() {
    let mut text = String::new();
    for command in COMMANDS {
        let help = run(tidings(&[command, &["-h"][..]].concat()), "").await.ok();
        let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
        text.push_str(&format!("$ tidings {}\n{}\n\n", [command, &["-h"][..]].concat().join(" "), lines.join("\n")));
    }
    insta::assert_snapshot!("help", text);
}
