//! What to do about failures from below: each becomes a sentence for whoever typed the command, with a
//! hint, and the exit status that fits.

use crate::{
    backtest,
    config::{Problem, variables as var},
    error::Error,
    notify::SmtpConfigError,
    rest::RestError,
    store::{StoreError, channels, secrets::SecretError},
    token::TokenError,
};

/// What to do about a failure of the database.
pub fn database(error: &StoreError) -> &'static str {
    let StoreError::Database { source, .. } = error else {
        return match error {
            StoreError::TimedOut { .. } => {
                "it is busy or locked; try again, or ask for a shorter time"
            }
            _ => "run `meshhook-errors check` for a diagnosis",
        };
    };
    let Some(answer) = source.as_database_error() else {
        return "check host and port in DATABASE_URL, and whether the database runs";
    };
    match &*answer.code().unwrap_or_default() {
        "28P01" | "28000" => {
            "check user and password in DATABASE_URL (alter role error_daemon password '…')"
        }
        "3D000" => "check the database's name in DATABASE_URL",
        "42P01" | "3F000" | "42883" => "apply the migrations in supabase/migrations first",
        "42501" => "log in as error_daemon, and apply the migrations in supabase/migrations",
        "53300" => "it has no connection left; end others, or raise max_connections",
        "57P01" | "57P02" | "57P03" => "it is starting or stopping; try again",
        _ => "run `meshhook-errors check` for a diagnosis",
    }
}

/// How the database failed.
pub fn reason(error: &StoreError) -> String {
    match error {
        // The pool tries again while it is refused, and then says no more than that it waited.
        StoreError::Database { what, source: sqlx::Error::PoolTimedOut } => {
            format!("{what}: it refuses connections, or does not answer in time")
        }
        error => error.to_string(),
    }
}

/// What to do about a failure of PostgREST.
fn rest(error: &RestError) -> &'static str {
    let RestError::Refused(answer) = error else {
        return "check SUPABASE_URL (or SUPABASE_REST_URL), and whether the project runs";
    };
    match (answer.status, answer.code.as_str()) {
        _ if error.is_transient() => "it is busy, starting or stopping; try again",
        (_, "PGRST202" | "PGRST205" | "42P01" | "42883") => {
            "apply the migrations in supabase/migrations first"
        }
        (401, _) => {
            "check SUPABASE_ANON_KEY, and the token or what it is minted from (SUPABASE_JWT_SECRET, \
             SUPABASE_SIGNING_KEY)"
        }
        (403, _) => "act by a token whose owner may do this",
        _ => "mend what it names",
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        let todo = database(&error);
        match &error {
            StoreError::Database { source, .. } if source.as_database_error().is_none() => {
                Self::unavailable("the database", reason(&error), todo)
            }
            _ => Self::failed(format!("{error}; {todo}")),
        }
    }
}

impl From<RestError> for Error {
    fn from(error: RestError) -> Self {
        match error {
            RestError::Token(error) => error.into(),
            error if error.is_transient() => {
                let todo = rest(&error);
                Self::unavailable("PostgREST", error, todo)
            }
            error => {
                let todo = rest(&error);
                Self::failed(format!("{error}; {todo}"))
            }
        }
    }
}

impl From<TokenError> for Error {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::NotAKey(_) | TokenError::Unusable(_) => {
                let text = format!("{error}; {}", var::SUPABASE_SIGNING_KEY.help);
                Problem::new(var::SUPABASE_SIGNING_KEY.name, text).into()
            }
            error => Self::failed(error),
        }
    }
}

impl From<SmtpConfigError> for Error {
    fn from(error: SmtpConfigError) -> Self {
        let variable = match &error {
            SmtpConfigError::From(_) => &var::SMTP_FROM,
            _ => &var::SMTP_URL,
        };
        Problem::new(variable.name, format!("{error}; {}", variable.help)).into()
    }
}

impl From<backtest::FindError> for Error {
    fn from(error: backtest::FindError) -> Self {
        match error {
            backtest::FindError::Store(error) => error.into(),
            backtest::FindError::None(_) => Self::failed(format!(
                "{error}; its name or id stands in the dashboard and in alert_rules, and --project, where it \
                 is given, must be its project"
            )),
            backtest::FindError::Invalid(_) => {
                Self::failed(format!("{error}; mend the rule in the dashboard or its file"))
            }
            backtest::FindError::Several(..) => Self::failed(error),
        }
    }
}

impl From<backtest::RunError> for Error {
    fn from(error: backtest::RunError) -> Self {
        match error {
            backtest::RunError::Store(error) => error.into(),
            backtest::RunError::Empty => {
                Self::failed("--to must be later than --from, and --from must lie in the past")
            }
            backtest::RunError::TooManyGroups => Self::failed(error),
        }
    }
}

impl From<channels::FindError> for Error {
    fn from(error: channels::FindError) -> Self {
        match error {
            channels::FindError::Database(error) => error.into(),
            channels::FindError::Unknown(_) => Self::failed(format!(
                "{error}; its name or id stands in the dashboard and in alert_channels"
            )),
            channels::FindError::Ambiguous { .. } => Self::failed(error),
        }
    }
}

impl From<SecretError> for Error {
    fn from(error: SecretError) -> Self {
        match error {
            SecretError::Database(error) => error.into(),
            error => Self::failed(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fmt, time::Duration};

    use super::*;
    use crate::rest::ServerError;

    /// What a server answered, with nothing but its code.
    #[derive(Debug)]
    struct Answer(&'static str);

    impl fmt::Display for Answer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "refused")
        }
    }

    impl std::error::Error for Answer {}

    impl sqlx::error::DatabaseError for Answer {
        fn message(&self) -> &str {
            "refused"
        }
        fn code(&self) -> Option<std::borrow::Cow<'_, str>> {
            Some(self.0.into())
        }
        fn as_error(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
            self
        }
        fn as_error_mut(&mut self) -> &mut (dyn std::error::Error + Send + Sync + 'static) {
            self
        }
        fn into_error(self: Box<Self>) -> Box<dyn std::error::Error + Send + Sync + 'static> {
            self
        }
        fn kind(&self) -> sqlx::error::ErrorKind {
            sqlx::error::ErrorKind::Other
        }
    }

    fn store(code: &'static str) -> Error {
        let source = sqlx::Error::Database(Box::new(Answer(code)));
        StoreError::Database { what: "read a rule", source }.into()
    }

    fn refused(status: u16, code: &str) -> Error {
        let (code, message) = (code.to_owned(), "no".to_owned());
        RestError::Refused(ServerError { status, code, message, ..ServerError::default() }).into()
    }

    /// Every text says what happened, to what, and what to do; scripts go by the exit status.
    #[test]
    fn every_failure_comes_with_what_to_do() {
        let lost = StoreError::Database { what: "read a rule", source: sqlx::Error::PoolTimedOut };
        let slow = StoreError::TimedOut { what: "read a rule", limit: Duration::from_secs(5) };
        let rule = || "x".to_owned();
        let cases: [(Error, u8, &str, &str); 20] = [
            (
                lost.into(),
                69,
                "the database cannot be reached: read a rule: it refuses",
                "DATABASE_URL",
            ),
            (slow.into(), 1, "read a rule: no answer from the database within 5s", "try again"),
            (store("28P01"), 1, "read a rule", "check user and password"),
            (store("3D000"), 1, "read a rule", "the database's name"),
            (store("42P01"), 1, "read a rule", "apply the migrations"),
            (store("42501"), 1, "read a rule", "log in as error_daemon"),
            (store("53300"), 1, "read a rule", "max_connections"),
            (store("57P03"), 1, "read a rule", "try again"),
            (store("22012"), 1, "read a rule", "meshhook-errors check"),
            (RestError::TimedOut.into(), 69, "PostgREST cannot be reached", "SUPABASE_URL"),
            (refused(503, ""), 69, "PostgREST cannot be reached", "try again"),
            (refused(401, "PGRST301"), 1, "the REST service refused", "SUPABASE_JWT_SECRET"),
            (refused(404, "PGRST205"), 1, "the REST service refused", "apply the migrations"),
            (refused(403, "42501"), 1, "the REST service refused", "act by a token"),
            (refused(400, "23514"), 1, "the REST service refused", "mend what it names"),
            (TokenError::NotAKey("x").into(), 64, "the configuration", "SUPABASE_SIGNING_KEY: "),
            (SmtpConfigError::Url("names no host").into(), 64, "the configuration", "smtps://"),
            (backtest::FindError::None(rule()).into(), 1, "there is no rule \"x\"", "--project"),
            (backtest::RunError::Empty.into(), 1, "--to must be later", "--from"),
            (
                channels::FindError::Unknown(rule()).into(),
                1,
                "there is no channel \"x\"",
                "alert_channels",
            ),
        ];
        for (error, status, beginning, advice) in cases {
            let text = error.to_string();
            assert!(text.starts_with(beginning) && text.contains(advice), "{text}");
            assert_eq!(error.exit_code(), status, "{text}");
        }
    }
}
