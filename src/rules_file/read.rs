//! Reads a file of rules; whatever is wrong is told with its line.

use std::{collections::BTreeMap, fmt};

use serde_json::{Map, Value, json};

use super::{
    fields::{FIELDS, Field, Kind, by_name},
    nearest::nearest,
    span::parse_span,
    words::template_problems,
    yaml::{self, Data, Node},
};
use crate::model::{Level, Rule};

/// The only version of the format.
const VERSION: i64 = 1;

/// A rule as a file says it.
#[derive(Clone, Debug, PartialEq)]
pub struct FileRule {
    /// Where it begins, from 1.
    pub line: usize,
    /// All columns of `alert_rules` that a file can say, with defaults where it does not.
    pub columns: Map<String, Value>,
    /// Whom it tells.
    pub channels: Vec<Binding>,
    /// The rule itself; its id is nil and it has no project.
    pub rule: Rule,
}

/// A channel that a rule tells, by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// Where it stands, from 1.
    pub line: usize,
    /// The channel's name, in the rule's project or among those of no project.
    pub name: String,
    /// The lowest level it is told of.
    pub min_level: Level,
}

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where, from 1.
    pub line: usize,
    /// Which field of which rule; empty for the file.
    pub field: String,
    /// What, and what would be right.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: ", self.line)?;
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.message)
    }
}

#[derive(Default)]
struct Reader {
    problems: Vec<Problem>,
}

/// Reads the rules of a file, in its order.
///
/// # Errors
/// Everything that is wrong with it, in order of its lines.
pub fn parse(text: &str) -> Result<Vec<FileRule>, Vec<Problem>> {
    let root = yaml::load(text).map_err(|error| {
        vec![Problem { line: error.line, field: String::new(), message: error.problem }]
    })?;
    let mut reader = Reader::default();
    let rules = reader.file(&root);
    reader.problems.sort_by_key(|problem| problem.line);
    if reader.problems.is_empty() { Ok(rules) } else { Err(reader.problems) }
}

/// Reads one rule from its place in a tree.
///
/// # Errors
/// Everything that is wrong with it.
pub fn rule_of(node: &Node) -> Result<FileRule, Vec<Problem>> {
    let mut reader = Reader::default();
    match reader.rule(node) {
        Some(rule) if reader.problems.is_empty() => Ok(rule),
        _ => Err(reader.problems),
    }
}

impl Reader {
    fn file(&mut self, root: &Node) -> Vec<FileRule> {
        let Data::Map(pairs) = &root.data else {
            self.fail(root.line, "", "must be a mapping with the key rules");
            return Vec::new();
        };
        let mut list = None;
        for (key, line, value) in pairs {
            match (key.as_str(), &value.data) {
                ("version", Data::Whole(VERSION)) => {}
                ("version", _) => self.fail(*line, "version", "must be 1"),
                ("rules", Data::List(rules)) => list = Some(rules),
                ("rules", _) => {
                    let message = format!("must be a list, not {}", value.what());
                    self.fail(*line, "rules", message);
                    list = Some(const { &Vec::new() });
                }
                _ => self.fail(*line, key, "is not known; a file has version and rules"),
            }
        }
        let Some(list) = list else {
            self.fail(root.line, "rules", "must be given: the list of rules");
            return Vec::new();
        };
        let mut names: BTreeMap<String, usize> = BTreeMap::new();
        let mut found = Vec::new();
        for node in list {
            let Some(rule) = self.rule(node) else { continue };
            if let Some(line) = names.insert(rule.rule.name.clone(), rule.line) {
                let message = format!("is also the name of the rule in line {line}");
                self.fail(rule.line, "name", message);
            }
            found.push(rule);
        }
        found
    }

    fn rule(&mut self, node: &Node) -> Option<FileRule> {
        let Data::Map(pairs) = &node.data else {
            self.fail(node.line, "", format!("a rule must be a mapping, not {}", node.what()));
            return None;
        };
        let before = self.problems.len();
        let mut columns: Map<String, Value> =
            FIELDS.iter().map(|field| (field.column.to_owned(), field.default())).collect();
        let mut lines: BTreeMap<&str, usize> = BTreeMap::new();
        let mut channels = Vec::new();
        for (key, line, value) in pairs {
            if key == "channels" {
                channels = self.channels(value);
            } else if let Some(field) = by_name(key) {
                lines.insert(field.column, *line);
                if let Some(value) = self.value(field, value) {
                    columns.insert(field.column.to_owned(), value);
                }
            } else {
                self.fail(*line, key, unknown(key));
            }
        }
        if self.problems.len() > before {
            return None;
        }
        let read = Rule::from_columns(Value::Object(columns.clone()));
        let group_by = read.as_ref().map_or(&[][..], |rule| rule.group_by.as_slice());
        for (field, problem) in template_problems(&columns, group_by) {
            self.fail(lines.get(field).copied().unwrap_or(node.line), field, problem);
        }
        match read {
            Ok(_) if self.problems.len() > before => None,
            Ok(rule) => Some(FileRule { line: node.line, columns, channels, rule }),
            Err(errors) => {
                for error in errors {
                    let field = FIELDS.iter().find(|field| field.column == error.field);
                    let name = field.map_or(error.field, |field| field.name);
                    let line = lines.get(error.field).copied().unwrap_or(node.line);
                    self.fail(line, name, error.problem);
                }
                None
            }
        }
    }

    /// The column's value of a field; none where a problem was noted.
    fn value(&mut self, field: &Field, node: &Node) -> Option<Value> {
        if node.data == Data::Null {
            return Some(field.default());
        }
        let value = match (field.kind, &node.data) {
            (Kind::Text, Data::Text(text)) => json!(text),
            // A name or a text such as 404 needs no quotation marks.
            (Kind::Text, Data::Whole(number)) => json!(number.to_string()),
            (Kind::Flag, Data::Flag(flag)) => json!(flag),
            (Kind::Whole | Kind::Number, Data::Whole(number)) => json!(number),
            (Kind::Number, Data::Number(number)) => json!(number),
            (Kind::Number, Data::Text(text)) if text.ends_with('%') => {
                json!(self.percent(field, node, text)?)
            }
            (Kind::Span, _) => json!(self.span(field.name, node)?),
            (Kind::Word(words), Data::Text(text)) => {
                json!(self.word(field.name, node.line, words, text)?)
            }
            (Kind::Words(_) | Kind::Texts | Kind::Ids, Data::List(list)) => {
                json!(self.list(field, list)?)
            }
            // One value needs no list around it.
            (Kind::Words(_) | Kind::Texts | Kind::Ids, Data::Text(_)) => {
                json!(self.list(field, std::slice::from_ref(node))?)
            }
            (Kind::BurnWindows, Data::List(list)) => {
                let pairs: Vec<Option<Value>> =
                    list.iter().map(|pair| self.burn_window(pair)).collect();
                json!(pairs.into_iter().collect::<Option<Vec<Value>>>()?)
            }
            (kind, _) => {
                let message = format!("must be {}, not {}", kind.what(), node.what());
                self.fail(node.line, field.name, message);
                return None;
            }
        };
        Some(value)
    }

    fn percent(&mut self, field: &Field, node: &Node, text: &str) -> Option<f64> {
        let number: Option<f64> = text.trim_end_matches('%').trim().parse().ok();
        let number = number.filter(|number| number.is_finite());
        if number.is_none() {
            self.fail(node.line, field.name, format!("{text:?} is no percentage"));
        }
        // Divided once, 5 % is exactly the number that 0.05 is.
        number.map(|number| number / 100.0)
    }

    fn span(&mut self, field: &str, node: &Node) -> Option<i64> {
        let seconds = match &node.data {
            Data::Whole(0) => Ok(0),
            Data::Text(text) => parse_span(text)
                .map(|span| span.micros() / 1_000_000)
                .map_err(|error| error.to_string()),
            _ => Err(format!("must be a length of time as in 5m, not {}", node.what())),
        };
        seconds.map_err(|message| self.fail(node.line, field, message)).ok()
    }

    fn word(&mut self, field: &str, line: usize, words: &[&str], text: &str) -> Option<String> {
        if words.contains(&text) {
            return Some(text.to_owned());
        }
        let near = nearest(text, words.iter().copied());
        let hint = near.map_or_else(String::new, |near| format!("; did you mean {near}?"));
        let message = format!("{text:?} is not one of {}{hint}", words.join(", "));
        self.fail(line, field, message);
        None
    }

    fn list(&mut self, field: &Field, list: &[Node]) -> Option<Vec<String>> {
        let mut texts = Vec::new();
        for node in list {
            let text = match (&node.data, field.kind) {
                (Data::Text(text), Kind::Words(words)) => {
                    self.word(field.name, node.line, words, text)
                }
                (Data::Text(text), _) => Some(text.clone()),
                _ => {
                    let message = format!("must be a list of texts, and this is {}", node.what());
                    self.fail(node.line, field.name, message);
                    None
                }
            };
            texts.push(text);
        }
        texts.into_iter().collect()
    }

    fn burn_window(&mut self, node: &Node) -> Option<Value> {
        const FIELD: &str = "burn_windows";
        let Data::Map(pairs) = &node.data else {
            self.fail(node.line, FIELD, "each must be as in {long: 1h, short: 5m, factor: 14.4}");
            return None;
        };
        let mut pair = Map::new();
        pair.insert("level".to_owned(), json!(Level::Critical.as_str()));
        for (key, line, value) in pairs {
            let (name, read) = match (key.as_str(), &value.data) {
                ("long", _) => ("long_seconds", self.span(FIELD, value).map(|s| json!(s))),
                ("short", _) => ("short_seconds", self.span(FIELD, value).map(|s| json!(s))),
                ("factor", Data::Whole(number)) => ("factor", Some(json!(number))),
                ("factor", Data::Number(number)) => ("factor", Some(json!(number))),
                ("level", Data::Text(text)) => {
                    let words = &["warning", "critical"];
                    ("level", self.word(FIELD, *line, words, text).map(|word| json!(word)))
                }
                _ => {
                    let message = format!("{key} is not one of long, short, factor, level");
                    self.fail(*line, FIELD, message);
                    return None;
                }
            };
            pair.insert(name.to_owned(), read?);
        }
        Some(Value::Object(pair))
    }

    fn channels(&mut self, node: &Node) -> Vec<Binding> {
        let list = match &node.data {
            Data::List(list) => list.as_slice(),
            Data::Text(_) => std::slice::from_ref(node),
            Data::Null => &[],
            _ => {
                let message = format!("must be a list of names, not {}", node.what());
                self.fail(node.line, "channels", message);
                &[]
            }
        };
        let mut found: Vec<Binding> = Vec::new();
        for node in list {
            let Some(binding) = self.channel(node) else { continue };
            if found.iter().any(|known| known.name == binding.name) {
                let message = format!("{:?} stands here twice", binding.name);
                self.fail(binding.line, "channels", message);
            }
            found.push(binding);
        }
        found
    }

    fn channel(&mut self, node: &Node) -> Option<Binding> {
        let (line, mut name, mut min_level) = (node.line, None, Level::Warning);
        match &node.data {
            Data::Text(text) => name = Some(text.clone()),
            Data::Map(pairs) => {
                for (key, line, value) in pairs {
                    match (key.as_str(), &value.data) {
                        ("name", Data::Text(text)) => name = Some(text.clone()),
                        ("min_level", Data::Text(text)) => {
                            let words = &["warning", "critical"];
                            let word = self.word("channels", value.line, words, text)?;
                            min_level = word.parse().unwrap_or(Level::Warning);
                        }
                        _ => {
                            let message = format!("{key} is not one of name, min_level, as texts");
                            self.fail(*line, "channels", message);
                            return None;
                        }
                    }
                }
            }
            _ => {}
        }
        if name.is_none() {
            let message = "each must be a name, or as in {name: Pager, min_level: critical}";
            self.fail(line, "channels", message);
        }
        Some(Binding { line, name: name?, min_level })
    }

    fn fail(&mut self, line: usize, field: &str, message: impl Into<String>) {
        self.problems.push(Problem { line, field: field.to_owned(), message: message.into() });
    }
}

impl Kind {
    /// What it holds, for people.
    const fn what(self) -> &'static str {
        match self {
            Self::Text => "a text",
            Self::Flag => "true or false",
            Self::Whole => "a whole number",
            Self::Number => "a number",
            Self::Span => "a length of time",
            Self::Word(_) => "a word",
            Self::Words(_) | Self::Texts | Self::Ids => "a list",
            Self::BurnWindows => "a list of pairs of windows",
        }
    }
}

fn unknown(key: &str) -> String {
    if let Some(field) = FIELDS.iter().find(|field| field.column == key) {
        return format!("is called {} in a file", field.name);
    }
    let names = FIELDS.iter().map(|field| field.name).chain(["channels"]);
    match nearest(key, names) {
        Some(near) => format!("is not a field of a rule; did you mean {near}?"),
        None => "is not a field of a rule".to_owned(),
    }
}
