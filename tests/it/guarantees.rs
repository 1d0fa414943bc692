//! The pages about guarantees and security name tests; they must exist.

use std::path::Path;

const GUARANTEES: &str = include_str!("../../docs/guarantees.md");
const SECURITY: &str = include_str!("../../docs/security.md");

/// The tests that a line names, as file and function.
fn named(line: &str) -> Vec<(&str, &str)> {
    line.split('`').skip(1).step_by(2).filter_map(|token| token.split_once(".rs::")).collect()
}

/// Fails where a test that the line names does not exist; how many it names.
fn check(line: &str) -> usize {
    let tests = named(line);
    for (file, function) in &tests {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("{file}.rs"));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{file}.rs: {e}"));
        let at = text.find(&format!("fn {function}(")).unwrap_or_else(|| {
            panic!("{file}.rs has no {function}");
        });
        let attribute = text[..at].rfind("#[").map(|from| &text[from..at]);
        let is_test = |text: &str| text.starts_with("#[test]") || text.starts_with("#[tokio::test");
        assert!(attribute.is_some_and(is_test), "{file}.rs::{function} is no test");
    }
    tests.len()
}

#[test]
fn every_promise_names_a_test_that_exists() {
    let (mut promises, mut tests) = (0, 0);
    for line in GUARANTEES.lines() {
        let is_promise = line.starts_with("| ") && !line.starts_with("| promise |");
        promises += usize::from(is_promise);
        let shown = check(line);
        assert!(!is_promise || shown > 0, "no test shows this: {line}");
        tests += shown;
    }
    assert!(promises >= 20 && tests >= promises, "{promises} promises, {tests} tests");
}

#[test]
fn every_defence_names_a_test_that_exists() {
    let tests: usize = SECURITY.lines().map(check).sum();
    assert!(tests >= 10, "{tests} tests");
}
