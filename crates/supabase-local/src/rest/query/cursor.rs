//! Reading text from left to right, with errors that say where and what was expected.

use super::super::error::ApiError;

/// The rest of a parameter's text.
#[derive(Clone, Debug)]
pub(super) struct Cursor {
    chars: Vec<char>,
    at: usize,
}

/// A place at which the text is not what the grammar allows.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Stop {
    /// The position and the text for the client.
    Syntax { at: usize, details: String },
    /// Good grammar that this server does not serve.
    Unsupported(String),
    /// Aggregates, which PostgREST refuses unless its operator allows them.
    Aggregate,
}

pub(super) type Parsed<T> = Result<T, Stop>;

impl Cursor {
    pub(super) fn new(text: &str) -> Self {
        Self { chars: text.chars().collect(), at: 0 }
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    pub(super) fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += 1;
        Some(next)
    }

    pub(super) fn at_end(&self) -> bool {
        self.peek().is_none()
    }

    pub(super) fn position(&self) -> usize {
        self.at
    }

    pub(super) fn go_back_to(&mut self, position: usize) {
        self.at = position;
    }

    pub(super) fn looks_at(&self, text: &str) -> bool {
        self.chars.get(self.at..).is_some_and(|rest| {
            let mut rest = rest.iter();
            text.chars().all(|wanted| rest.next() == Some(&wanted))
        })
    }

    /// Takes this text if it is next.
    pub(super) fn eat(&mut self, text: &str) -> bool {
        let found = self.looks_at(text);
        if found {
            self.at += text.chars().count();
        }
        found
    }

    pub(super) fn expect(&mut self, text: &str) -> Parsed<()> {
        if self.eat(text) { Ok(()) } else { Err(self.stop(&format!("\"{text}\""))) }
    }

    pub(super) fn spaces(&mut self) {
        while matches!(self.peek(), Some(' ' | '\t')) {
            self.at += 1;
        }
    }

    pub(super) fn take_while(&mut self, mut wanted: impl FnMut(char) -> bool) -> String {
        let mut taken = String::new();
        while let Some(next) = self.peek().filter(|next| wanted(*next)) {
            taken.push(next);
            self.at += 1;
        }
        taken
    }

    pub(super) fn rest(&mut self) -> String {
        self.take_while(|_| true)
    }

    /// The text is not what was expected here.
    pub(super) fn stop(&self, expecting: &str) -> Stop {
        let found = match self.peek() {
            Some('"') => "'\"'".to_owned(),
            Some(next) => format!("\"{next}\""),
            None => "end of input".to_owned(),
        };
        let details = format!("unexpected {found} expecting {expecting}");
        Stop::Syntax { at: self.at, details }
    }

    /// A text in double quotes, in which a backslash takes the next character as it is.
    pub(super) fn quoted(&mut self) -> Parsed<String> {
        self.expect("\"")?;
        let mut text = String::new();
        loop {
            match self.next() {
                Some('"') => return Ok(text),
                Some('\\') => match self.next() {
                    Some(next) => text.push(next),
                    None => return Err(self.stop("any character")),
                },
                Some(next) => text.push(next),
                None => return Err(self.stop("end of quoted value")),
            }
        }
    }
}

impl Stop {
    /// The answer, for a parameter of this kind and text.
    pub(super) fn answer(self, kind: &str, text: &str) -> ApiError {
        match self {
            Self::Syntax { at, details } => {
                let message =
                    format!("\"failed to parse {kind} ({text})\" (line 1, column {})", at + 1);
                ApiError::new(400, "PGRST100", message).details(details)
            }
            Self::Unsupported(feature) => ApiError::unsupported(&feature),
            Self::Aggregate => {
                ApiError::new(400, "PGRST123", "Use of aggregate functions is not allowed")
            }
        }
    }
}
