//! Which error types a rule counts.

/// Matches an error type: a bare class matches the class and every detail of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TypePattern {
    /// `execution` matches `execution` and `execution.timeout`.
    Class(Box<str>),
    /// `execution.timeout` matches only itself.
    Exact(Box<str>),
}

impl TypePattern {
    /// Reads `class` or `class.detail`.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        if text.contains('.') { Self::Exact(text.into()) } else { Self::Class(text.into()) }
    }

    /// The class part of an error type.
    #[must_use]
    pub fn class_of(error_type: &str) -> &str {
        error_type.split_once('.').map_or(error_type, |(class, _)| class)
    }

    /// Whether this pattern covers `error_type`.
    #[must_use]
    pub fn matches(&self, error_type: &str) -> bool {
        match self {
            Self::Class(class) => Self::class_of(error_type) == &**class,
            Self::Exact(exact) => error_type == &**exact,
        }
    }
}
