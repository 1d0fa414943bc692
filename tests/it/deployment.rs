//! What people deploy with: files that name what exists, and the commands that containers and shells use.

mod files;

use std::{collections::BTreeSet, fs, path::Path};

use meshhook_errors::notify::EVENT_TYPE;

use crate::support::{
    process::{Folder, run},
    stack::{Stack, Variables},
};

/// Every name of a metric in a text, without what Prometheus appends to a histogram's.
fn metrics(text: &str) -> BTreeSet<String> {
    let letter = |c: char| c.is_ascii_lowercase() || c == '_';
    let names = text.match_indices("meshhook_errors_").map(|(at, _)| {
        let rest = &text[at..];
        let name = &rest[..rest.find(|c| !letter(c)).unwrap_or(rest.len())];
        name.strip_suffix("_bucket").unwrap_or(name).to_owned()
    });
    names.collect()
}

/// Every quoted name of a metric in the sources.
fn recorded(folder: &Path) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            names.extend(recorded(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            // A metric is named in the call that records it, or in a constant.
            let words: Vec<&str> = text.split('"').collect();
            let recorded = words.windows(2).filter(|pair| {
                let before = pair[0].trim_end();
                before.ends_with("!(") || before.ends_with('=')
            });
            names.extend(
                recorded
                    .map(|pair| pair[1])
                    .filter(|word| word.starts_with("meshhook_errors_") && *word != EVENT_TYPE)
                    .map(str::to_owned),
            );
        }
    }
    names
}

#[test]
fn metrics_are_documented_and_rules_use_only_those_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let recorded = recorded(&root.join("src"));
    assert!(recorded.len() > 30, "{recorded:?}");
    let read = |path: &str| fs::read_to_string(root.join(path)).unwrap();
    let documented = metrics(&read("docs/operations.md"));
    let missing: Vec<_> = recorded.difference(&documented).collect();
    assert!(missing.is_empty(), "docs/operations.md says nothing of {missing:?}");
    for path in ["deploy/prometheus/alerts.yaml", "deploy/grafana/meshhook-errors.json"] {
        let used = metrics(&read(path));
        assert!(used.len() > 8, "{path} watches only {used:?}");
        let unknown: Vec<_> = used.difference(&recorded).collect();
        assert!(unknown.is_empty(), "{path} uses {unknown:?}, which nothing records");
    }
    let dashboard: serde_json::Value =
        serde_json::from_str(&read("deploy/grafana/meshhook-errors.json")).unwrap();
    assert!(dashboard["panels"].as_array().is_some_and(|panels| panels.len() > 10));
}

#[test]
fn every_variable_of_the_deployment_files_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let example = fs::read_to_string(root.join(".env.example")).unwrap();
    for (path, names) in [
        ("deploy/Dockerfile", &["HTTP_LISTEN", "LOG_FORMAT"][..]),
        ("deploy/compose.yaml", &["HTTP_LISTEN", "LOG_FORMAT", "INSTANCE_NAME"]),
        ("deploy/kubernetes/meshhook-errors.yaml", &["HTTP_LISTEN", "LOG_FORMAT", "INSTANCE_NAME"]),
    ] {
        let text = fs::read_to_string(root.join(path)).unwrap();
        for name in names {
            assert!(text.contains(name), "{path} sets {name}");
            assert!(example.contains(&format!("{name}=")), "{name} is a variable");
        }
    }
}

#[tokio::test]
async fn containers_and_shells_find_what_they_ask_for() {
    let version = run(&Variables::new(), &["--version"], "").await;
    assert!(version.out.starts_with("meshhook-errors 0."), "{version:?}");
    let folder = Folder::new();
    let path = folder.path().join("man");
    let man = run(&Variables::new(), &["man", path.to_str().unwrap()], "").await;
    assert_eq!(man.status, 0, "{man:?}");
    let page = fs::read_to_string(path.join("meshhook-errors-run.1")).unwrap();
    assert!(page.contains("Run the daemon"), "{page}");
    for shell in ["bash", "zsh", "fish"] {
        let script = run(&Variables::new(), &["completions", shell], "").await;
        assert!(script.out.contains("send-test"), "{shell}: {script:?}");
    }
}

#[tokio::test]
async fn an_instance_is_asked_whether_it_lives_and_is_ready() {
    let stack = Stack::start().await;
    let instance = stack.daemon().await;
    let address = instance.daemon.address().to_string();
    let ask = |arguments: &'static [&'static str]| {
        let variables = Variables::from([("HTTP_LISTEN".to_owned(), address.clone())]);
        async move { run(&variables, arguments, "").await }
    };
    for arguments in [&["healthcheck"][..], &["healthcheck", "--ready"]] {
        let output = ask(arguments).await;
        assert_eq!(output.status, 0, "{output:?}");
    }
    instance.stop().await;
    let output = ask(&["healthcheck"]).await;
    assert_eq!(output.status, 69, "{output:?}");
    assert!(output.err.contains("cannot be reached"), "{output:?}");
}
