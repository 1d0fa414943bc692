//! The page of guarantees names tests; they must exist.

use std::path::Path;

const PAGE: &str = include_str!("../../docs/guarantees.md");

/// The tests that a line names, as file and function.
fn named(line: &str) -> Vec<(&str, &str)> {
    line.split('`').skip(1).step_by(2).filter_map(|token| token.split_once(".rs::")).collect()
}

#[test]
fn every_promise_names_a_test_that_exists() {
    let (mut promises, mut tests) = (0, 0);
    for line in PAGE.lines() {
        let is_promise = line.starts_with("| ") && !line.starts_with("| promise |");
        promises += usize::from(is_promise);
        assert!(!is_promise || !named(line).is_empty(), "no test shows this: {line}");
        for (file, function) in named(line) {
            tests += 1;
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("{file}.rs"));
            let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{file}.rs: {e}"));
            let at = text.find(&format!("fn {function}(")).unwrap_or_else(|| {
                panic!("{file}.rs has no {function}");
            });
            let attribute = text[..at].rfind("#[").map(|from| &text[from..at]);
            let is_test =
                |text: &str| text.starts_with("#[test]") || text.starts_with("#[tokio::test");
            assert!(attribute.is_some_and(is_test), "{file}.rs::{function} is no test");
        }
    }
    assert!(promises >= 20 && tests >= promises, "{promises} promises, {tests} tests");
}
