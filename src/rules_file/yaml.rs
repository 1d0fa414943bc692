//! YAML as a tree in which every value knows its line.
//!
//! Aliases are copied, so their number is bounded; a key that stands twice in one mapping is refused,
//! since one of the two would be lost without a word.

use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle};

/// Values of a file at most, aliases counted as often as they are used.
const MOST_NODES: usize = 100_000;
/// Levels of a file at most.
const MOST_LEVELS: usize = 32;

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Its line, from 1.
    pub line: usize,
    /// What it is.
    pub data: Data,
}

/// What a value is.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// `null`, `~`, or nothing at all.
    Null,
    /// `true` or `false`.
    Flag(bool),
    /// A whole number.
    Whole(i64),
    /// Another number.
    Number(f64),
    /// Everything else, and whatever stands in quotation marks.
    Text(String),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping in the order of the file: key, its line, and value.
    Map(Vec<(String, usize, Node)>),
}

/// Why a text is no YAML that can be used here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct YamlError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong there.
    pub problem: String,
}

/// A mapping or sequence that is not complete yet.
enum Open {
    List(Vec<Node>),
    Map(Vec<(String, usize, Node)>, Option<(String, usize)>),
}

struct Frame {
    line: usize,
    anchor: usize,
    open: Open,
}

#[derive(Default)]
struct Loader {
    frames: Vec<Frame>,
    anchors: HashMap<usize, Node>,
    root: Option<Node>,
    nodes: usize,
}

/// Reads the only document of `text`.
///
/// # Errors
/// When it is not YAML, has several documents, repeats a key, or is too large.
pub fn load(text: &str) -> Result<Node, YamlError> {
    let mut loader = Loader::default();
    let mut last = 1;
    for event in Parser::new_from_str(text) {
        let (event, span) =
            event.map_err(|error| fail(line(error.marker()), error.info().to_owned()))?;
        last = line(&span.start);
        loader.take(event, last)?;
    }
    Ok(loader.root.unwrap_or(Node { line: last, data: Data::Null }))
}

impl Node {
    /// What it is, for people.
    #[must_use]
    pub const fn what(&self) -> &'static str {
        match self.data {
            Data::Null => "nothing",
            Data::Flag(_) => "true or false",
            Data::Whole(_) => "a whole number",
            Data::Number(_) => "a number",
            Data::Text(_) => "a text",
            Data::List(_) => "a list",
            Data::Map(_) => "a mapping",
        }
    }

    fn size(&self) -> usize {
        1 + match &self.data {
            Data::List(list) => list.iter().map(Self::size).sum(),
            Data::Map(pairs) => pairs.iter().map(|(_, _, node)| node.size()).sum(),
            _ => 0,
        }
    }
}

impl Loader {
    fn take(&mut self, event: Event<'_>, line: usize) -> Result<(), YamlError> {
        match event {
            Event::DocumentStart(_) if self.root.is_some() => {
                return Err(fail(line, "there must be only one document in the file"));
            }
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain && tag.is_none();
                let data = if plain { scalar(&text) } else { Data::Text(text.into_owned()) };
                self.put(Node { line, data }, anchor)?;
            }
            Event::SequenceStart(anchor, _) => self.open(line, anchor, Open::List(Vec::new()))?,
            Event::MappingStart(anchor, _) => {
                self.open(line, anchor, Open::Map(Vec::new(), None))?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.close()?,
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor).cloned() else {
                    return Err(fail(line, "this alias names nothing that was given before"));
                };
                self.put(node, 0)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn open(&mut self, line: usize, anchor: usize, open: Open) -> Result<(), YamlError> {
        if self.frames.len() >= MOST_LEVELS {
            return Err(fail(line, format!("more than {MOST_LEVELS} levels")));
        }
        self.frames.push(Frame { line, anchor, open });
        Ok(())
    }

    fn close(&mut self) -> Result<(), YamlError> {
        let Some(Frame { line, anchor, open }) = self.frames.pop() else { return Ok(()) };
        let data = match open {
            Open::List(list) => Data::List(list),
            Open::Map(pairs, _) => Data::Map(pairs),
        };
        self.put(Node { line, data }, anchor)
    }

    fn put(&mut self, node: Node, anchor: usize) -> Result<(), YamlError> {
        let line = node.line;
        self.nodes += node.size();
        if self.nodes > MOST_NODES * MOST_LEVELS {
            return Err(fail(line, "there are too many values"));
        }
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        match self.frames.last_mut().map(|frame| &mut frame.open) {
            None => self.root = Some(node),
            Some(Open::List(list)) => list.push(node),
            Some(Open::Map(pairs, key)) => match key.take() {
                None => *key = Some((key_of(node)?, line)),
                Some((name, _)) if pairs.iter().any(|(known, _, _)| *known == name) => {
                    return Err(fail(line, format!("{name:?} stands here a second time")));
                }
                Some((name, at)) => pairs.push((name, at, node)),
            },
        }
        Ok(())
    }
}

fn key_of(node: Node) -> Result<String, YamlError> {
    match node.data {
        Data::Text(text) => Ok(text),
        Data::Whole(number) => Ok(number.to_string()),
        Data::Flag(flag) => Ok(flag.to_string()),
        _ => Err(fail(node.line, format!("a key must be a text, not {}", node.what()))),
    }
}

/// A scalar without quotation marks, as YAML 1.2's core schema reads it.
fn scalar(text: &str) -> Data {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Data::Null,
        "true" | "True" | "TRUE" => return Data::Flag(true),
        "false" | "False" | "FALSE" => return Data::Flag(false),
        _ => {}
    }
    let number =
        text.trim_start_matches(['+', '-']).starts_with(|c: char| c.is_ascii_digit() || c == '.');
    if number && let Ok(whole) = text.parse() {
        return Data::Whole(whole);
    }
    match text.parse::<f64>() {
        Ok(value) if number && value.is_finite() => Data::Number(value),
        _ => Data::Text(text.to_owned()),
    }
}

fn line(marker: &Marker) -> usize {
    marker.line().max(1)
}

fn fail(line: usize, problem: impl Into<String>) -> YamlError {
    YamlError { line, problem: problem.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let shown = match load(text) {
            Ok(node) => show(&node),
            Err(error) => error.to_string(),
        };
        assert!(shown.starts_with(expected), "{shown:?} instead of {expected:?}");
    }

    fn show(node: &Node) -> String {
        let inner = match &node.data {
            Data::List(list) => {
                format!("[{}]", list.iter().map(show).collect::<Vec<_>>().join(", "))
            }
            Data::Map(pairs) => {
                let pairs = pairs.iter().map(|(k, at, v)| format!("{k}@{at}: {}", show(v)));
                format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
            }
            data => format!("{data:?}"),
        };
        format!("{}:{inner}", node.line)
    }

    #[test]
    fn values_know_their_lines() {
        for (text, expected) in [
            (
                "a: 1\nb:\n  - x\n  - 0.5\n",
                "1:{a@1: 1:Whole(1), b@2: 3:[3:Text(\"x\"), 4:Number(0.5)]}",
            ),
            (
                "{a: true, \"b\": \"1\", c: ~}",
                "1:{a@1: 1:Flag(true), b@1: 1:Text(\"1\"), c@1: 1:Null}",
            ),
            (
                "- 5m\n- .inf\n- 2026-11-22\n- -3\n- no",
                "1:[1:Text(\"5m\"), 2:Text(\".inf\"), 3:Text(\"2026-11-22\"), 4:Whole(-3), 5:Text(\"no\")]",
            ),
            ("a: &x {b: 1}\nc: *x", "1:{a@1: 1:{b@1: 1:Whole(1)}, c@2: 1:{b@1: 1:Whole(1)}}"),
            ("", "1:Null"),
            ("# only a comment\n", "2:Null"),
            ("a: 1\na: 2", "line 2: \"a\" stands here a second time"),
            ("a: 1\n---\nb: 2", "line 2: there must be only one document"),
            ("a:\n  - 1\n b: 2", "line 3: "),
            ("a: [1, 2", "line 2: "),
            ("? [a]\n: 1", "line 1: a key must be a text, not a list"),
            ("a: *nobody", "line 1: "),
        ] {
            check(text, expected);
        }
    }

    #[test]
    fn a_small_file_cannot_become_a_huge_one() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..9 {
            let before = format!("*a{}, ", level - 1).repeat(10);
            text += &format!("a{level}: &a{level} [{before}]\n");
        }
        assert!(load(&text).is_err_and(|error| error.problem.contains("too many values")));
        assert!(load(&"[".repeat(100)).is_err());
    }
}
