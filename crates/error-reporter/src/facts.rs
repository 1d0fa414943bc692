//! What is known of an error, in the words that the Rust and the JavaScript reporter share.

use std::{error::Error, fmt::Write, io, str::Utf8Error, string::FromUtf8Error};

use serde::{Deserialize, Serialize};

/// How many causes are looked at.
const MAX_CAUSES: usize = 5;
/// The longest message that is kept, in bytes.
pub(crate) const MAX_TEXT: usize = 8192;

/// What is known of an error.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorFacts {
    /// Its type's name, such as `reqwest::Error`.
    pub name: String,
    /// What it says.
    pub message: String,
    /// An SQLSTATE, a code as Node names it (`ECONNREFUSED`), or a kind (`REQWEST_TIMEOUT`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// An HTTP status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// What it was caused by, nearest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<ErrorFacts>,
}

impl ErrorFacts {
    /// The facts of an error whose type is known.
    pub fn of<E: Error + 'static>(error: &E) -> Self {
        let mut facts = Self::of_dyn(error);
        if facts.name == "Error" {
            facts.name = short_name(std::any::type_name::<E>()).to_owned();
        }
        facts
    }

    /// The facts of an error behind a reference, as in `anyhow::Error::as_ref`.
    #[must_use]
    pub fn of_dyn(error: &(dyn Error + 'static)) -> Self {
        let mut facts = facts_of_one(error);
        let mut next = inner(error);
        while let Some(cause) = next {
            if facts.causes.len() == MAX_CAUSES {
                break;
            }
            facts.causes.push(facts_of_one(cause));
            next = inner(cause);
        }
        facts
    }

    /// About how many bytes it keeps in memory, its causes included.
    pub(crate) fn size(&self) -> usize {
        let code = self.code.as_ref().map_or(0, String::len);
        let causes: usize = self.causes.iter().map(Self::size).sum();
        size_of::<Self>() + self.name.len() + self.message.len() + code + causes
    }

    /// The facts of an error that is only a text.
    #[must_use]
    pub fn of_message(name: &str, message: &str) -> Self {
        Self { name: name.to_owned(), message: bounded(message), ..Self::default() }
    }
}

/// `io::Error::source` skips the error that it wraps, which is the one that matters.
fn inner<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    if let Some(wrapped) = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        return Some(wrapped);
    }
    error.source()
}

/// `ValidationError` of `shop::orders::ValidationError`.
fn short_name(path: &str) -> &str {
    let path = path.split_once('<').map_or(path, |(before, _)| before);
    path.rsplit("::").next().unwrap_or(path)
}

fn facts_of_one(error: &(dyn Error + 'static)) -> ErrorFacts {
    let (name, code, status) = known(error);
    ErrorFacts {
        name: name.to_owned(),
        message: bounded(&text_of(error)),
        code,
        status,
        causes: Vec::new(),
    }
}

/// Unlike `to_string`, this does not panic where an error's `Display` fails.
fn text_of(error: &(dyn Error + 'static)) -> String {
    let mut text = String::new();
    // What was written until it failed is better than nothing.
    let _ = write!(text, "{error}");
    text
}

/// Name, code and status of the errors that this crate knows by type.
fn known(error: &(dyn Error + 'static)) -> (&'static str, Option<String>, Option<u16>) {
    let plain = |name, code: &str| (name, Some(code.to_owned()), None);
    if let Some(error) = error.downcast_ref::<io::Error>() {
        return ("std::io::Error", io_code(error.kind()).map(str::to_owned), None);
    }
    if let Some(error) = error.downcast_ref::<reqwest::Error>() {
        let status = error.status().map(|status| status.as_u16());
        return ("reqwest::Error", reqwest_code(error).map(str::to_owned), status);
    }
    #[cfg(feature = "sqlx")]
    if let Some(error) = error.downcast_ref::<sqlx::Error>() {
        return ("sqlx::Error", sqlx_code(error), None);
    }
    if let Some(error) = error.downcast_ref::<serde_json::Error>() {
        use serde_json::error::Category;
        return match error.classify() {
            Category::Io => ("serde_json::Error", None, None),
            Category::Syntax => plain("serde_json::Error", "SERDE_JSON_SYNTAX"),
            Category::Data => plain("serde_json::Error", "SERDE_JSON_DATA"),
            Category::Eof => plain("serde_json::Error", "SERDE_JSON_EOF"),
        };
    }
    if let Some(error) = error.downcast_ref::<tokio::task::JoinError>() {
        let code = if error.is_panic() { "TOKIO_PANIC" } else { "TOKIO_CANCELLED" };
        return plain("tokio::task::JoinError", code);
    }
    if error.is::<tokio::time::error::Elapsed>() {
        return plain("tokio::time::error::Elapsed", "TOKIO_ELAPSED");
    }
    if error.is::<url::ParseError>() {
        return plain("url::ParseError", "URL_PARSE");
    }
    if error.is::<uuid::Error>() {
        return plain("uuid::Error", "UUID_PARSE");
    }
    if error.is::<chrono::ParseError>() {
        return plain("chrono::ParseError", "CHRONO_PARSE");
    }
    if error.is::<Utf8Error>() || error.is::<FromUtf8Error>() {
        return plain("std::str::Utf8Error", "UTF8");
    }
    if error.is::<std::num::ParseIntError>() {
        return plain("std::num::ParseIntError", "INT_PARSE");
    }
    if error.is::<std::num::ParseFloatError>() {
        return plain("std::num::ParseFloatError", "FLOAT_PARSE");
    }
    ("Error", None, None)
}

/// The name that POSIX and Node have for it, so that both languages share one table.
fn io_code(kind: io::ErrorKind) -> Option<&'static str> {
    use io::ErrorKind as Kind;
    Some(match kind {
        Kind::AddrInUse => "EADDRINUSE",
        Kind::AddrNotAvailable => "EADDRNOTAVAIL",
        Kind::AlreadyExists => "EEXIST",
        Kind::BrokenPipe => "EPIPE",
        Kind::ConnectionAborted => "ECONNABORTED",
        Kind::ConnectionRefused => "ECONNREFUSED",
        Kind::ConnectionReset => "ECONNRESET",
        Kind::DirectoryNotEmpty => "ENOTEMPTY",
        Kind::FileTooLarge => "EFBIG",
        Kind::HostUnreachable => "EHOSTUNREACH",
        Kind::IsADirectory => "EISDIR",
        Kind::NetworkDown => "ENETDOWN",
        Kind::NetworkUnreachable => "ENETUNREACH",
        Kind::NotADirectory => "ENOTDIR",
        Kind::NotConnected => "ENOTCONN",
        Kind::NotFound => "ENOENT",
        Kind::OutOfMemory => "ENOMEM",
        Kind::PermissionDenied => "EACCES",
        Kind::QuotaExceeded => "EDQUOT",
        Kind::ReadOnlyFilesystem => "EROFS",
        Kind::ResourceBusy => "EBUSY",
        Kind::StorageFull => "ENOSPC",
        Kind::TimedOut => "ETIMEDOUT",
        Kind::UnexpectedEof => "UnexpectedEof",
        Kind::WouldBlock => "EAGAIN",
        _ => return None,
    })
}

/// A failed connection has no code of its own: its cause says whether name, network or TLS failed.
fn reqwest_code(error: &reqwest::Error) -> Option<&'static str> {
    if error.is_timeout() {
        Some("REQWEST_TIMEOUT")
    } else if error.is_redirect() {
        Some("REQWEST_REDIRECT")
    } else if error.is_decode() {
        Some("REQWEST_DECODE")
    } else if error.is_builder() {
        Some("REQWEST_BUILDER")
    } else if error.is_body() {
        Some("REQWEST_BODY")
    } else {
        None
    }
}

#[cfg(feature = "sqlx")]
fn sqlx_code(error: &sqlx::Error) -> Option<String> {
    let kind = match error {
        sqlx::Error::Database(database) => {
            return database.code().map(std::borrow::Cow::into_owned);
        }
        // What cannot be reached is the database, whatever the reason in its cause.
        sqlx::Error::Io(_) => "SQLX_IO",
        sqlx::Error::Tls(_) => "SQLX_TLS",
        sqlx::Error::PoolTimedOut => "SQLX_POOL_TIMED_OUT",
        sqlx::Error::PoolClosed => "SQLX_POOL_CLOSED",
        sqlx::Error::RowNotFound => "SQLX_ROW_NOT_FOUND",
        _ => "SQLX_OTHER",
    };
    Some(kind.to_owned())
}

/// A text of at most 8 KiB.
///
/// It is cut before it is masked, and half a secret would no longer be recognised as one. So the cut
/// is made where a word ends, and a text without words is not kept at all.
pub(crate) fn bounded(text: &str) -> String {
    if text.len() <= MAX_TEXT {
        return text.to_owned();
    }
    format!("{}… [cut: {} bytes]", cut(text, MAX_TEXT), text.len())
}

/// The words of the first `limit` bytes, of which at least half must be left.
pub(crate) fn cut(text: &str, limit: usize) -> &str {
    let bytes = text.as_bytes();
    let ends_word = |byte: &u8| *byte <= 32 || b"\"',;".contains(byte);
    let end = (limit / 2..=limit.min(text.len()))
        .rev()
        .find(|end| bytes.get(*end).is_some_and(ends_word));
    end.and_then(|end| text.get(..end)).unwrap_or_default()
}
