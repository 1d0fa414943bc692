//! Every command of ours that a document names is one: its words are understood, and every target of `make`
//! exists. What the commands do is tested elsewhere; here it is that nobody is told to type what is refused.

use std::{collections::BTreeSet, fs, path::Path};

use super::{documents, words};
use crate::support::{process::run, stack::Variables};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const PROJECT: &str = "6f1c0000-0000-4000-8000-000000000001";

/// All documents, one after the other.
fn pages() -> String {
    documents().into_iter().map(|(_, page)| page + "\n").collect()
}

/// What stands between backticks or on a line of a block, and begins with `program`.
pub(super) fn named(pages: &str, program: &str) -> BTreeSet<String> {
    let lines = pages.lines().map(str::trim);
    let inline = pages.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
    lines
        .chain(inline)
        .filter(|text| text.strip_prefix(program).is_some_and(|rest| rest.starts_with(' ')))
        .map(|text| text.split(['#', '<', '>', '|', '&']).next().unwrap_or(text).trim().to_owned())
        .collect()
}

#[tokio::test]
async fn every_command_that_a_document_names_is_understood() {
    let commands = named(&pages(), "meshhook-errors");
    assert!(commands.len() > 25, "{commands:?}");
    for command in commands {
        // What stands for something of the reader's.
        let command = command
            .replace("6f1c…", PROJECT)
            .replace("PROJECT-ID", PROJECT)
            .replace("FROM TO", "2026-11-22 2026-11-23");
        let mut words = words(&command);
        words.remove(0);
        // Words before it are read first, and help is the end of it.
        words.push("--help".to_owned());
        let arguments: Vec<&str> = words.iter().map(String::as_str).collect();
        let output = run(&Variables::new(), &arguments, "").await;
        assert_eq!(output.status, 0, "{command}: {}", output.err);
        assert!(output.out.contains("Usage:"), "{command}: {}", output.out);
    }
}

#[test]
fn every_target_of_make_that_a_document_names_is_there() {
    let makefile = fs::read_to_string(Path::new(ROOT).join("Makefile")).expect("the Makefile");
    let targets: BTreeSet<&str> = makefile
        .lines()
        .filter(|line| line.contains(": ") && line.contains("## "))
        .filter_map(|line| line.split(':').next())
        .collect();
    let named = named(&pages(), "make");
    assert!(named.len() > 8, "{named:?}");
    for command in named {
        for target in words(&command).iter().skip(1).filter(|word| !word.contains('=')) {
            assert!(targets.contains(target.as_str()), "`{command}`: there is no target {target}");
        }
    }
}
