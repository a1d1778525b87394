//! The guide for beginners does what it says.

use std::process::Command;

use crate::support::{Server, run};

const GUIDE: &str = include_str!("../../../../docs/guides/first-ten-minutes.md");

/// A guide's blocks of code, each with its language, in their order.
fn blocks(guide: &'static str) -> Vec<(&'static str, String)> {
    let mut blocks = Vec::new();
    let mut lines = guide.lines();
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let body: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            blocks.push((language, body.join("\n")));
        }
    }
    blocks
}

#[tokio::test]
async fn every_command_of_the_first_ten_minutes_works() {
    let dir = tempfile::tempdir().unwrap();
    let shop = dir.path().join("shop.db");
    let data = dir.path().join("tidings-data");
    let programs = std::path::Path::new(env!("CARGO_BIN_EXE_tidings")).parent().unwrap().display();
    let path = format!("{programs}:{}", std::env::var("PATH").unwrap());

    let (mut shown, mut commands) = (String::new(), 0);
    let mut server: Option<Server> = None;
    for (language, block) in blocks(GUIDE) {
        match language {
            "sh" if block == "tidings demo" => {}
            // The first terminal: the server that runs there is ended, and the next is started.
            "sh" if block.ends_with("tidings serve") => {
                if let Some(mut server) = server.take() {
                    server.stop().await;
                }
                let source = format!("shop=sqlite:{}", shop.display());
                let sources = if block.contains("shop=sqlite:shop.db") { source.as_str() } else { "" };
                server = Some(Server::on(&data, &[], &[("TIDINGS_SOURCES", sources)]).await);
            }
            "sh" => {
                let url = &server.as_ref().unwrap().url;
                let block = block.replace("http://127.0.0.1:7411", url);
                let script = format!("set -eu\nexport TIDINGS_KEY=$(cat tidings-data/admin.key)\n{block}");
                let mut bash = Command::new("bash");
                bash.arg("-c").arg(script).current_dir(dir.path()).env_clear();
                bash.env("PATH", &path).env("TIDINGS_URL", url);
                let ran = run(bash, "").await;
                assert_eq!(ran.code, Some(0), "{block}\n{ran:#?}");
                shown.push_str(&ran.stdout);
                shown.push_str(&ran.stderr);
                commands += 1;
            }
            "sql" => rusqlite::Connection::open(&shop).unwrap().execute_batch(&block).unwrap(),
            other => panic!("a block of code in '{other}'"),
        }
    }
    assert!(commands >= 7, "{commands}");
    for promised in ["was there already", "\"up_to_date\":true", "500 were there already", "order/order_7"] {
        assert!(shown.contains(promised), "'{promised}' is not in:\n{shown}");
    }
    assert!(!shown.contains("order_8"), "{shown}");
}

const CATALOG: &str = include_str!("../../../../docs/guides/catalog.md");

#[tokio::test]
async fn every_command_and_every_definition_of_the_catalog_guide_is_right() {
    use tidings_catalog::source;

    let dir = tempfile::tempdir().unwrap();
    let server = Server::start().await;
    let programs = std::path::Path::new(env!("CARGO_BIN_EXE_tidings")).parent().unwrap().display();
    let path = format!("{programs}:{}", std::env::var("PATH").unwrap());
    let (mut shown, mut commands) = (String::new(), 0);
    for (language, block) in blocks(CATALOG) {
        match language {
            // Speaks of a repository, which a test has none of.
            "sh" if block.contains("git ") => {}
            "sh" => {
                let mut bash = Command::new("bash");
                bash.arg("-c").arg(format!("set -eu\n{block}")).current_dir(dir.path()).env_clear();
                bash.env("PATH", &path).env("TIDINGS_URL", &server.url).env("TIDINGS_KEY", server.key());
                let ran = run(bash, "").await;
                assert_eq!(ran.code, Some(0), "{block}\n{ran:#?}");
                shown.push_str(&ran.stdout);
                shown.push_str(&ran.stderr);
                commands += 1;
            }
            "yaml" if block.starts_with("name: shop.") => drop(source::read(&block).expect(&block)),
            "yaml" if block.contains("values: [") => drop(source::read_set(&block).expect(&block)),
            "yaml" if block.contains("known:") => drop(source::read_policy(&block).expect(&block)),
            // A part of a definition.
            "yaml" if !block.starts_with('#') => {
                let whole = format!("name: shop.order.placed\nversion: 2\nowner: shop\nschema: {{}}\n{block}\n");
                drop(source::read(&whole).expect(&block));
            }
            _ => {}
        }
    }
    assert!(commands >= 5, "{commands}");
    for promised in ["instead: shop.order.created", "the status must change", "index.html"] {
        assert!(shown.contains(promised), "'{promised}' is not in:\n{shown}");
    }
}

const SCALE_OUT: &str = include_str!("../../../../docs/scale-out.md");

/// Ends what a guide started in the background, however the test ends.
struct Started(std::path::PathBuf);

impl Drop for Started {
    fn drop(&mut self) {
        for n in 1..=3 {
            let Ok(pid) = std::fs::read_to_string(self.0.join(format!("node{n}.pid"))) else { continue };
            if let Some(pid) = pid.trim().parse().ok().and_then(rustix::process::Pid::from_raw) {
                // It may have ended by itself.
                let _gone = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
    }
}

/// The packages are there and their services are the tests' own; everything after that is done as the page says.
#[tokio::test]
async fn three_nodes_come_up_as_the_guide_says_and_two_go_on_without_the_third() {
    let server = tidings_testkit::Postgres::start();
    let database = server.database().await;
    let broker = tidings_testkit::Nats::start();
    let dir = tempfile::tempdir().unwrap();
    let started = Started(dir.path().to_owned());
    let programs = std::path::Path::new(env!("CARGO_BIN_EXE_tidings")).parent().unwrap().display();
    let path = format!("{programs}:{}", std::env::var("PATH").unwrap());
    let ports: Vec<String> = (0..3).map(|_| tidings_testkit::free_port().to_string()).collect();
    let (mut shown, mut done, mut killed) = (Vec::new(), String::from("set -eu\n"), false);
    for (language, block) in blocks(SCALE_OUT) {
        assert_eq!(language, "sh");
        if block.contains("sudo ") {
            continue;
        }
        let block = block
            .replace("postgres://tidings:change-me@127.0.0.1/tidings", &database.url())
            .replace("nats://127.0.0.1:4222", &broker.url())
            .replace("741$n", "$(cat port$n)");
        let block = ports.iter().zip(1..).fold(block, |block, (port, n)| block.replace(&format!("741{n}"), port));
        for (port, n) in ports.iter().zip(1..) {
            std::fs::write(dir.path().join(format!("port{n}")), port).unwrap();
        }
        // What a terminal remembers from block to block: variables, and nothing that ran.
        let mut bash = Command::new("bash");
        bash.arg("-c").arg(format!("{done}{block}")).current_dir(dir.path()).env_clear().env("PATH", &path);
        let ran = run(bash, "").await;
        assert_eq!(ran.code, Some(0), "{block}\n{ran:#?}");
        shown.push(ran.stdout);
        for line in block.lines().filter(|line| line.starts_with("set -a") || line.starts_with("export TIDINGS_")) {
            done.push_str(line);
            done.push('\n');
        }
        if block.contains("kill -9") {
            killed = true;
            let mut bash = Command::new("bash");
            bash.arg("-c").arg(format!("{done}{}", without_the_first(&ports))).current_dir(dir.path());
            bash.env_clear().env("PATH", &path);
            let ran = run(bash, "").await;
            assert_eq!(ran.code, Some(0), "{ran:#?}");
        }
    }
    drop(started);
    assert!(killed);
    let nodes: Vec<usize> = shown.iter().filter(|text| text.contains("router")).map(|text| listed(text)).collect();
    assert_eq!(nodes, [3, 2], "{shown:#?}");
    assert!(shown.iter().any(|text| text.contains("sales.lead.created")), "{shown:#?}");
}

/// The nodes in what `tidings nodes` prints.
fn listed(text: &str) -> usize {
    text.lines().filter(|line| line.contains("http://127.0.0.1:")).count()
}

/// Waits until the two nodes that are left own everything, emits at one of them and reads at the other.
fn without_the_first(ports: &[String]) -> String {
    format!(
        r#"
        for _ in $(seq 60); do
            tidings nodes > nodes.txt 2>&1
            grep --quiet without nodes.txt || break
            sleep 0.5
        done
        cat nodes.txt
        ! grep without nodes.txt
        tidings emit --tenant acme --type sales.lead.lost --source service/sales --data '{{}}'
        TIDINGS_URL=http://127.0.0.1:{} tidings tail acme --from start --no-follow | grep sales.lead.lost
        "#,
        ports[2]
    )
}
