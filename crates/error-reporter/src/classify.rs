//! From an error's facts to its type and severity, by the table that both reporters read.

use std::{collections::HashMap, sync::LazyLock};

use regex::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};
use serde::Deserialize;

use crate::{ErrorFacts, event::Severity};

/// The table, shared with the JavaScript reporter.
const TABLE: &str = include_str!("../../../packages/error-reporter/data/classification.json");
/// Longer messages are looked at only as far as this, in bytes.
const MESSAGE_LIMIT: usize = 1000;

/// Whose request failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// It came to this component, so a 4xx is its caller's fault.
    Inbound,
    /// This component asked.
    #[default]
    Outbound,
}

/// What is known of the circumstances.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Circumstances {
    /// Whose request failed.
    pub direction: Direction,
    /// The attempt that failed, from 1.
    pub attempt: Option<u32>,
    /// How many there are.
    pub max_attempts: Option<u32>,
    /// True: there will be no other attempt. False: there will.
    #[serde(rename = "final")]
    pub is_final: Option<bool>,
}

/// Error type and severity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Classified {
    /// Class and detail, such as `execution.http_timeout`.
    pub error_type: &'static str,
    /// By consequence.
    pub severity: Severity,
}

/// One kind of evidence: the error type that it speaks for.
type Tier = fn(&Rules, &ErrorFacts, Direction) -> Option<&'static str>;

/// The error type and severity of an error; what fits nothing is `system.unknown`, medium.
#[must_use]
pub fn classify(facts: &ErrorFacts, circumstances: &Circumstances) -> Classified {
    let error_type = error_type_of(facts, circumstances.direction);
    Classified { error_type, severity: severity_of(error_type, circumstances) }
}

/// The error type alone.
#[must_use]
pub fn error_type_of(facts: &ErrorFacts, direction: Direction) -> &'static str {
    let rules = &*RULES;
    let tiers: [Tier; 7] = [
        Rules::of_code,
        |rules, facts, direction| {
            facts.status.and_then(|status| rules.of_status(status, direction))
        },
        |rules, facts, direction| Rules::of_name(&rules.names, facts, direction),
        Rules::of_status_in_message,
        |rules, facts, direction| rules.messages.first(facts, direction),
        |rules, facts, direction| rules.generic_messages.first(facts, direction),
        |rules, facts, direction| Rules::of_name(&rules.generic_names, facts, direction),
    ];
    for tier in tiers {
        // The error itself, then what caused it, before the next and weaker kind of evidence.
        let own = tier(rules, facts, direction);
        let found =
            own.or_else(|| facts.causes.iter().find_map(|cause| tier(rules, cause, direction)));
        if let Some(error_type) = found {
            return error_type;
        }
    }
    rules.fallback
}

/// Severity follows consequence: whose fault it is, and whether the run can still succeed.
#[must_use]
pub fn severity_of(error_type: &str, circumstances: &Circumstances) -> Severity {
    let consequence = RULES.consequences.get(error_type).copied().unwrap_or_else(|| {
        // A type that a caller made up is judged by its class.
        match error_type.split('.').next() {
            Some("input") => "caller",
            Some("system") => "fault",
            _ => "step",
        }
    });
    let counted = circumstances.attempt.zip(circumstances.max_attempts);
    let is_final = circumstances.is_final.or(counted.map(|(attempt, max)| attempt >= max));
    let Some(row) = RULES.severities.get(consequence) else { return Severity::Medium };
    match is_final {
        None => row.severity,
        Some(true) => row.last,
        Some(false) => row.attempts_left,
    }
}

#[derive(Deserialize)]
struct Table {
    types: Vec<TypeRow>,
    consequences: Vec<ConsequenceRow>,
    codes: Vec<Rule>,
    sqlstates: Vec<Rule>,
    statuses: Vec<Rule>,
    names: Vec<Rule>,
    status_in_message: Vec<String>,
    messages: Vec<Rule>,
    generic_messages: Vec<Rule>,
    generic_names: Vec<Rule>,
    fallback: String,
}

#[derive(Deserialize)]
struct TypeRow {
    #[serde(rename = "type")]
    error_type: String,
    consequence: String,
}

#[derive(Deserialize)]
struct ConsequenceRow {
    consequence: String,
    severity: Severity,
    attempts_left: Severity,
    #[serde(rename = "final")]
    last: Severity,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct Rule {
    #[serde(rename = "type")]
    error_type: String,
    direction: Option<Direction>,
    message: Option<String>,
    pattern: String,
    codes: Vec<String>,
    prefixes: Vec<String>,
    names: Vec<String>,
    from: u16,
    to: u16,
    only_without_status: bool,
}

/// A rule ready for use.
struct Compiled {
    error_type: &'static str,
    direction: Option<Direction>,
    message: Option<Regex>,
    only_without_status: bool,
}

impl Compiled {
    fn applies(&self, facts: &ErrorFacts, direction: Direction) -> bool {
        self.direction.is_none_or(|wanted| wanted == direction)
            && !(self.only_without_status && facts.status.is_some())
            && self.message.as_ref().is_none_or(|regex| regex.is_match(start_of(&facts.message)))
    }
}

/// Message patterns, all looked for in one pass.
struct Messages {
    set: RegexSet,
    rules: Vec<Compiled>,
}

impl Messages {
    fn first(&self, facts: &ErrorFacts, direction: Direction) -> Option<&'static str> {
        let found = self.set.matches(start_of(&facts.message));
        found.iter().filter_map(|index| self.rules.get(index)).find_map(|rule| {
            let wanted = rule.direction.is_none_or(|wanted| wanted == direction);
            wanted.then_some(rule.error_type)
        })
    }
}

struct Rules {
    consequences: HashMap<&'static str, &'static str>,
    severities: HashMap<&'static str, ConsequenceRow>,
    codes: HashMap<String, Vec<usize>>,
    code_prefixes: Vec<(String, usize)>,
    code_rules: Vec<Compiled>,
    sqlstates: Vec<(String, Option<Direction>, &'static str)>,
    statuses: Vec<(u16, u16, Option<Direction>, &'static str)>,
    names: HashMap<String, Vec<Compiled>>,
    generic_names: HashMap<String, Vec<Compiled>>,
    status_in_message: (RegexSet, Vec<Regex>),
    messages: Messages,
    generic_messages: Messages,
    fallback: &'static str,
}

#[expect(clippy::expect_used, reason = "the table is part of the program, and a test reads it")]
static RULES: LazyLock<Rules> = LazyLock::new(|| {
    Rules::new(serde_json::from_str(TABLE).expect("the classification table is valid"))
        .expect("the classification table's patterns are valid")
});

/// Compiles the patterns now, which takes milliseconds that no caller of `capture` should wait.
pub(crate) fn prepare() {
    LazyLock::force(&RULES);
}

impl Rules {
    fn new(table: Table) -> Result<Self, regex::Error> {
        let mut codes: HashMap<String, Vec<usize>> = HashMap::new();
        let mut code_prefixes = Vec::new();
        let mut code_rules = Vec::new();
        for rule in &table.codes {
            for code in &rule.codes {
                match code.strip_suffix('*') {
                    Some(prefix) => code_prefixes.push((prefix.to_owned(), code_rules.len())),
                    None => codes.entry(code.clone()).or_default().push(code_rules.len()),
                }
            }
            code_rules.push(compile(rule)?);
        }
        let sqlstates = table.sqlstates.iter().flat_map(|rule| {
            let row = (rule.direction, leak(&rule.error_type));
            rule.prefixes.iter().map(move |prefix| (prefix.clone(), row.0, row.1))
        });
        Ok(Self {
            consequences: table
                .types
                .iter()
                .map(|row| (leak(&row.error_type), leak(&row.consequence)))
                .collect(),
            codes,
            code_prefixes,
            code_rules,
            sqlstates: sqlstates.collect(),
            statuses: table
                .statuses
                .iter()
                .map(|rule| (rule.from, rule.to, rule.direction, leak(&rule.error_type)))
                .collect(),
            names: by_name(&table.names)?,
            generic_names: by_name(&table.generic_names)?,
            status_in_message: (
                set(&table.status_in_message)?,
                table.status_in_message.iter().map(|text| regex(text)).collect::<Result<_, _>>()?,
            ),
            messages: messages(&table.messages)?,
            generic_messages: messages(&table.generic_messages)?,
            fallback: leak(&table.fallback),
            severities: table
                .consequences
                .into_iter()
                .map(|row| (leak(&row.consequence), row))
                .collect(),
        })
    }

    fn of_code(&self, facts: &ErrorFacts, direction: Direction) -> Option<&'static str> {
        let code = facts.code.as_deref().filter(|code| !code.is_empty())?;
        let exact = self.codes.get(code).into_iter().flatten();
        let prefixed = self
            .code_prefixes
            .iter()
            .filter(|(prefix, _)| code.starts_with(prefix))
            .map(|(_, index)| index);
        exact
            .chain(prefixed)
            .filter_map(|index| self.code_rules.get(*index))
            .find(|rule| rule.applies(facts, direction))
            .map(|rule| rule.error_type)
            .or_else(|| self.of_sqlstate(code, direction))
    }

    /// The longest prefix wins; of two that are as long, the one that names the direction.
    fn of_sqlstate(&self, code: &str, direction: Direction) -> Option<&'static str> {
        let is_sqlstate = code.len() == 5
            && code.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase())
            && code.bytes().any(|byte| byte.is_ascii_digit());
        if !is_sqlstate {
            return None;
        }
        self.sqlstates
            .iter()
            .filter(|(prefix, wanted, _)| {
                code.starts_with(prefix) && wanted.is_none_or(|wanted| wanted == direction)
            })
            .max_by_key(|(prefix, wanted, _)| (prefix.len(), wanted.is_some()))
            .map(|(_, _, error_type)| *error_type)
    }

    fn of_status(&self, status: u16, direction: Direction) -> Option<&'static str> {
        self.statuses
            .iter()
            .find(|(from, to, wanted, _)| {
                *wanted == Some(direction) && (*from..=*to).contains(&status)
            })
            .map(|(_, _, _, error_type)| *error_type)
    }

    fn of_name(
        names: &HashMap<String, Vec<Compiled>>,
        facts: &ErrorFacts,
        direction: Direction,
    ) -> Option<&'static str> {
        let rules = names.get(&facts.name)?;
        rules.iter().find(|rule| rule.applies(facts, direction)).map(|rule| rule.error_type)
    }

    fn of_status_in_message(
        &self,
        facts: &ErrorFacts,
        direction: Direction,
    ) -> Option<&'static str> {
        let text = start_of(&facts.message);
        let (set, patterns) = &self.status_in_message;
        set.matches(text).iter().filter_map(|index| patterns.get(index)).find_map(|pattern| {
            let status = pattern.captures(text)?.get(1)?.as_str().parse().ok()?;
            self.of_status(status, direction)
        })
    }
}

fn start_of(message: &str) -> &str {
    message.get(..message.floor_char_boundary(MESSAGE_LIMIT)).unwrap_or(message)
}

/// The table lives as long as the process, so its words may too.
fn leak(text: &str) -> &'static str {
    Box::leak(text.to_owned().into_boxed_str())
}

fn regex(pattern: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(pattern).case_insensitive(true).build()
}

fn set(patterns: &[String]) -> Result<RegexSet, regex::Error> {
    RegexSetBuilder::new(patterns).case_insensitive(true).size_limit(64 << 20).build()
}

fn compile(rule: &Rule) -> Result<Compiled, regex::Error> {
    Ok(Compiled {
        error_type: leak(&rule.error_type),
        direction: rule.direction,
        message: rule.message.as_deref().map(regex).transpose()?,
        only_without_status: rule.only_without_status,
    })
}

fn by_name(rules: &[Rule]) -> Result<HashMap<String, Vec<Compiled>>, regex::Error> {
    let mut names: HashMap<String, Vec<Compiled>> = HashMap::new();
    for rule in rules {
        for name in &rule.names {
            names.entry(name.clone()).or_default().push(compile(rule)?);
        }
    }
    Ok(names)
}

fn messages(rules: &[Rule]) -> Result<Messages, regex::Error> {
    let patterns: Vec<String> = rules.iter().map(|rule| rule.pattern.clone()).collect();
    let rules = rules.iter().map(compile).collect::<Result<_, _>>()?;
    Ok(Messages { set: set(&patterns)?, rules })
}
