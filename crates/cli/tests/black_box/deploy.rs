//! The files under `deploy/` and the commands of the operators' guides: they name what there is.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tidings_catalog::source;

use crate::support::{run, tidings};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(ROOT).join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The files that this is about, by their paths.
fn files() -> Vec<String> {
    let folders = ["deploy/systemd", "deploy/container", "deploy/kubernetes"];
    let mut files: Vec<String> = folders
        .iter()
        .flat_map(|folder| std::fs::read_dir(Path::new(ROOT).join(folder)).unwrap())
        .map(|file| file.unwrap().path().strip_prefix(ROOT).unwrap().display().to_string())
        .collect();
    files.sort();
    files
}

fn manifests() -> Vec<(String, Value)> {
    let files = files().into_iter().filter(|path| path.ends_with(".yaml"));
    files
        .map(|path| (path.clone(), source::to_json(&read(&path)).unwrap_or_else(|found| panic!("{path}: {found:?}"))))
        .collect()
}

fn manifest(kind: &str) -> Value {
    let found = manifests().into_iter().find(|(_, value)| value["kind"] == kind);
    found.unwrap_or_else(|| panic!("there is no {kind}")).1
}

fn text<'v>(value: &'v Value, at: &str) -> &'v str {
    value.pointer(at).and_then(Value::as_str).unwrap_or_else(|| panic!("{at} in {value}"))
}

#[test]
fn every_variable_that_a_file_sets_is_a_setting() {
    let reference = read("docs/configuration.md");
    let guides = ["docs/guides/backup.md", "docs/guides/upgrade.md"].map(str::to_owned);
    for path in files().into_iter().chain(guides) {
        let content = read(&path);
        let words = content.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        for word in words.filter(|word| word.starts_with("TIDINGS_")) {
            let known = word == "TIDINGS_CONFIG" || reference.contains(&format!("| environment | `{word}`"));
            assert!(known, "{path}: {word} is not a setting");
        }
    }
}

#[tokio::test]
async fn every_configuration_that_is_given_along_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    let config = manifest("ConfigMap");
    let texts = [read("deploy/systemd/tidings.toml"), text(&config, "/data/tidings.toml").to_owned()];
    for (index, given) in texts.iter().enumerate() {
        // As it stands, and with what is only proposed in it.
        let proposed: Vec<&str> = given
            .lines()
            .map(|line| {
                line.strip_prefix("# ").filter(|rest| rest.contains(" = ") || rest.starts_with('[')).unwrap_or(line)
            })
            .collect();
        for text in [given.clone(), proposed.join("\n")] {
            let path: PathBuf = dir.path().join(format!("{index}.toml"));
            std::fs::write(&path, &text).unwrap();
            let shown = run(tidings(&["config", "show", "--config", path.to_str().unwrap()]), "").await;
            assert_eq!(shown.code, Some(0), "{text}\n{}", shown.stderr);
        }
    }
}

#[tokio::test]
async fn every_command_line_of_the_files_and_guides_is_one() {
    let unit = read("deploy/systemd/tidings.service");
    let started = unit.lines().find_map(|line| line.strip_prefix("ExecStart=/usr/local/bin/")).expect("ExecStart");
    let pod = manifest("StatefulSet");
    let args = pod.pointer("/spec/template/spec/containers/0/args").and_then(Value::as_array).unwrap();
    let args: Vec<&str> = args.iter().map(|arg| arg.as_str().unwrap()).collect();
    let mut lines = vec![started.to_owned(), format!("tidings {}", args.join(" "))];
    for path in ["docs/guides/backup.md", "docs/guides/upgrade.md", "deploy/container/Containerfile"] {
        let text = read(path);
        let quoted = text.split('`').skip(1).step_by(2).map(str::trim);
        let whole = text.lines().chain(quoted).filter(|line| line.starts_with("tidings ") && !line.contains('\n'));
        lines.extend(whole.map(str::to_owned));
        let health = text.lines().find_map(|line| line.trim().strip_prefix("CMD [\"tidings\", ")?.strip_suffix(']'));
        lines.extend(health.map(|rest| format!("tidings {}", rest.replace([',', '"'], ""))));
    }
    assert!(lines.len() > 8, "{lines:?}");
    for line in lines {
        let words: Vec<&str> = line.split_whitespace().skip(1).map(|word| word.trim_matches('"')).collect();
        // Asked for its help a command does nothing; what it does not know is refused all the same.
        let ran = run(tidings(&[&words[..], &["--help"]].concat()), "").await;
        assert_eq!(ran.code, Some(0), "{line}\n{}", ran.stderr);
    }
}

#[test]
fn the_manifests_fit_each_other_the_image_and_the_server() {
    let names: Vec<String> = manifests().into_iter().map(|(path, _)| path).collect();
    let kustomization = manifest("Kustomization");
    for resource in kustomization["resources"].as_array().unwrap() {
        let path = format!("deploy/kubernetes/{}", resource.as_str().unwrap());
        assert!(names.contains(&path), "{path}");
    }
    let set = manifest("StatefulSet");
    let label = &set["spec"]["selector"]["matchLabels"];
    assert_eq!(*label, set["spec"]["template"]["metadata"]["labels"]);
    assert_eq!(*label, manifest("Service")["spec"]["selector"]);
    assert_eq!(*label, manifest("PodDisruptionBudget")["spec"]["selector"]["matchLabels"]);
    let pod = &set["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    assert_eq!(text(container, "/envFrom/0/secretRef/name"), text(&manifest("Secret"), "/metadata/name"));
    assert_eq!(text(pod, "/volumes/0/configMap/name"), text(&manifest("ConfigMap"), "/metadata/name"));
    let api: Value = serde_json::from_str(&read("docs/openapi.json")).unwrap();
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        let path = text(container, &format!("/{probe}/httpGet/path"));
        assert!(api["paths"].get(path).is_some(), "{path} is not served");
    }
    let image = read("deploy/container/Containerfile");
    let user = pod["securityContext"]["runAsUser"].as_u64().unwrap();
    assert!(image.contains(&format!("--uid {user} ")) && image.contains(&format!("USER {user}:{user}")));
    let config = manifest("ConfigMap");
    let seconds = |line: &str| {
        text(&config, "/data/tidings.toml").lines().find_map(|l| l.strip_prefix(line)?.parse::<u64>().ok())
    };
    let grace = pod["terminationGracePeriodSeconds"].as_u64().unwrap();
    assert!(grace > 5 + seconds("shutdown_s = ").unwrap(), "a shutdown must fit into the grace period");
}
