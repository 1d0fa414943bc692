//! Where variables come from, and how problems with them are collected.

use std::{collections::BTreeMap, fmt, path::Path, str::FromStr};

use super::variables::{self, Variable};

/// A snapshot of the variables: those of the process, and those of a `.env` file that it lacks.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// The process's variables, completed by the file `.env` in the current folder where there is one.
    ///
    /// # Errors
    /// Names the line when the file cannot be read as a list of variables.
    pub fn load() -> Result<Self, Problem> {
        let mut all = BTreeMap::new();
        let file = Path::new(".env");
        if file.is_file() {
            let text = std::fs::read_to_string(file)
                .map_err(|error| Problem::new(".env", format!("cannot be read: {error}")))?;
            for pair in dotenvy::from_read_iter(text.as_bytes()) {
                let (name, value) =
                    pair.map_err(|error| Problem::new(".env", describe(&error, &text)))?;
                all.insert(name, value);
            }
        }
        all.extend(std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        }));
        Ok(Self(all))
    }

    /// An environment of exactly these pairs.
    pub fn of<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    /// This environment with some variables replaced.
    #[must_use]
    pub fn with<'a>(mut self, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        self.0.extend(pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())));
        self
    }

    /// The value of a variable that is not ours, such as `HOME`.
    #[must_use]
    pub fn lookup(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// A reader that collects problems.
    #[must_use]
    pub fn reader(&self) -> Reader<'_> {
        Reader { environment: self, problems: Vec::new() }
    }
}

/// Names only: values may be secrets.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// The file's text may hold secrets, so an error must not quote it.
fn describe(error: &dotenvy::Error, text: &str) -> String {
    let line = match error {
        dotenvy::Error::LineParse(part, _) => part.lines().next().and_then(|first| {
            text.lines().position(|line| line.trim() == first.trim()).map(|place| place + 1)
        }),
        _ => None,
    };
    let place = line.map(|line| format!("line {line}: ")).unwrap_or_default();
    format!("{place}cannot be read as NAME=value; what has spaces or quotes in it stands in quotes")
}

/// One thing wrong with the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The variable.
    pub variable: &'static str,
    /// What is wrong and what to write instead; never the value of a secret.
    pub text: String,
}

impl Problem {
    /// A problem with `variable`.
    pub fn new(variable: &'static str, text: impl Into<String>) -> Self {
        Self { variable, text: text.into() }
    }
}

/// Everything wrong with the configuration, one line each.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(|p| format!("{}: {}", p.variable, p.text)).collect::<Vec<_>>().join("\n"))]
pub struct Problems(pub Vec<Problem>);

/// Reads variables one by one and remembers what was wrong with them.
pub struct Reader<'a> {
    environment: &'a Environment,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    /// The variable's text; none where it is unset or blank, and its default where it has one.
    pub fn text(&self, variable: &'static Variable) -> Option<String> {
        self.environment
            .0
            .get(variable.name)
            .map(|value| value.trim())
            .filter(|value| !value.is_empty())
            .or(variable.default)
            .map(str::to_owned)
    }

    /// The variable's text, which must be there.
    pub fn required(&mut self, variable: &'static Variable) -> Option<String> {
        let text = self.text(variable);
        if text.is_none() {
            self.problem(variable, format!("is not set; {}", variable.help));
        }
        text
    }

    /// The variable as a `T`.
    pub fn parsed<T: FromStr>(&mut self, variable: &'static Variable, expected: &str) -> Option<T> {
        let text = self.text(variable)?;
        let value = text.parse().ok();
        if value.is_none() {
            self.problem(variable, format!("must be {expected}, not {}", shown(variable, &text)));
        }
        value
    }

    /// A switch.
    pub fn flag(&mut self, variable: &'static Variable) -> bool {
        match self.text(variable).as_deref() {
            None | Some("false" | "0" | "no" | "off") => false,
            Some("true" | "1" | "yes" | "on") => true,
            Some(other) => {
                let text = format!("must be true or false, not {}", shown(variable, other));
                self.problem(variable, text);
                false
            }
        }
    }

    /// Whether plain-text connections to other machines are allowed.
    pub fn allows_plaintext(&mut self) -> bool {
        self.flag(&variables::ALLOW_PLAINTEXT)
    }

    /// Remembers a problem.
    pub fn problem(&mut self, variable: &'static Variable, text: impl Into<String>) {
        let problem = Problem::new(variable.name, text);
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    /// The value, where no variable had a problem.
    ///
    /// # Errors
    /// Every problem that was found.
    pub fn finish<T>(self, value: Option<T>) -> Result<T, Problems> {
        match value {
            Some(value) if self.problems.is_empty() => Ok(value),
            _ => Err(Problems(self.problems)),
        }
    }
}

/// The value as a message may show it.
fn shown(variable: &Variable, text: &str) -> String {
    if variable.secret {
        "what it is (not shown, it is a secret)".to_owned()
    } else {
        format!("{:?}", text.chars().take(80).collect::<String>())
    }
}
